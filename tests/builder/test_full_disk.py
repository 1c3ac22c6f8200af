"""A disk that fills, and a build that takes too much of it: in words, nothing stays, and the next push works."""

import asyncio
import subprocess
import time

import pytest

from builder import disk
from builder.disk import DiskFull, Room
from builder.errors import RegistryError
from builder.registry_api import RegistryClient, digest_of
from builder.settings import Registry
from builder.watching import watched
from registry import store
from tests.builder.test_deploys import Deployer, archive
from tests.builder.test_push_refusals import APP, cause, head, wait_until
from tests.registry.harness import PASSWORD, USERNAME, RunningRegistry

MIB = 1 << 20
FILL = "#!/bin/sh\ndd if=/dev/zero of={} bs=1M count={} 2>&1\nsleep 25\n"
STACK = "FROM paas/stack:trixie\nUSER root\n"


def test_a_reserve_stays_free_for_what_runs():
    assert Room(10 << 30, 100 << 30).left == 9 << 30 and Room(1 << 30, 100 << 30).left == 0
    assert Room(8 * MIB, 100 * MIB).left == 5 * MIB and Room(3 * MIB, 100 * MIB).left == 0
    told = str(DiskFull(Room(1 << 29, 20 << 30), "the push isn't received"))
    assert "0.50 of 20.0 GiB free" in told and "the push isn't received" in told and "paas gc" in told


async def test_what_is_built_stops_when_only_the_reserve_is_left(monkeypatch, tmp_path):
    rooms = [Room(50 * MIB, 100 * MIB), Room(2 * MIB, 100 * MIB)]
    monkeypatch.setattr(disk, "room", lambda _: rooms.pop(0))
    monkeypatch.setattr(disk, "LOOK", 0.01)
    with pytest.raises(DiskFull, match="the build was stopped"):
        async with watched(disk.keep_reserve([tmp_path])):
            await asyncio.Event().wait()


async def test_a_watch_that_finds_nothing_changes_nothing(tmp_path):
    async with watched(disk.keep_reserve([])):
        await asyncio.sleep(0)
    with pytest.raises(KeyError):
        async with watched(disk.keep_reserve([])):
            raise KeyError
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), watched(disk.keep_reserve([])):
            await asyncio.Event().wait()


@pytest.fixture
def small(tmp_path_factory):
    """Folders on file systems of their own; call it with their size in MiB."""
    mounted = []

    def made(size):
        folder = tmp_path_factory.mktemp("small")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(folder)], check=True)
        mounted.append(folder)
        return folder

    yield made
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.engine
def test_a_disk_that_fills_during_a_build_fails_that_build_alone(start_builder, small, tmp_path):
    folder = small(64)
    builder = start_builder("full", BUILDER_DATA=str(folder / "data"), BUILD_POOL="0")
    builder.data = folder / "data"
    client, deployer = builder.client(tmp_path / "c", apps=("filled",)), Deployer(builder)
    path = client.repository("filled", {**APP, "bin/pre_compile": FILL.format("/app/fill", 500)})
    out = client.push(path, check=False)
    assert "disk" in cause(out)[0] and "Traceback" not in out, out
    assert ("nearly full" in cause(out)[0] and "paas gc" in cause(out)[0]) or "the disk filled up" in cause(out)[0]
    assert head(builder, "filled") == ""
    wait_until(lambda: disk.room(folder).left > 10 * MIB, 15, "what the build left stays")
    client.commit(path, {"bin/pre_compile": "#!/bin/sh\n"})
    assert "Done, filled:v" in client.push(path), "there is room again"
    before = head(builder, "filled")
    with (folder / "filler").open("wb") as file:
        file.write(b"x" * (disk.room(folder).free - MIB))
    client.commit(path, {"x": "1"})
    out = client.push(path, check=False)
    assert "The platform's disk is nearly full" in out and "the push isn't received" in out and "paas gc" in out, out
    deployer.app("filled")
    status, answer = deployer.ask("POST", "/builder/apps/filled/deploy", archive(APP))
    assert status == 507 and b"the archive is not received" in answer
    assert head(builder, "filled") == before and list((builder.data / "uploads").iterdir()) == []
    (folder / "filler").unlink()
    assert "Done, filled:v" in client.push(path) and head(builder, "filled") != before


@pytest.mark.engine
@pytest.mark.parametrize(
    ("app", "files"),
    [
        ("wide", {**APP, "bin/pre_compile": FILL.format("/tmp/fill", 100)}),
        ("wide-docker", {"Dockerfile": f"{STACK}RUN dd if=/dev/zero of=/fill bs=1M count=100; sleep 25\nCMD x\n"}),
        ("wide-buildkit", {"Dockerfile": f"{STACK}RUN --mount=type=cache,target=/c dd if=/dev/zero of=/fill bs=1M "
                                         "count=100; sleep 25\nCMD x\n"}),
    ],
)  # fmt: skip
def test_a_build_that_writes_more_than_it_may_is_stopped_wherever_it_writes(narrow, tmp_path, app, files):
    client = narrow.client(tmp_path / "c", apps=(app,))
    out = client.push(client.repository(app, files), check=False)
    assert cause(out)[0] == "The build was stopped: its files take more than 50 MiB of disk (BUILD_DISK)."
    assert narrow.controller.end_of(app)["state"] == "failed"


@pytest.fixture(scope="module")
def narrow(start_builder):
    return start_builder("narrow", BUILD_DISK=str(50 * MIB), BUILD_POOL="0")


async def test_a_registry_without_room_says_so_and_takes_images_again(small):
    folder = small(16)
    registry = RunningRegistry(folder)
    try:
        async with RegistryClient(Registry(registry.host, USERNAME, PASSWORD)) as to:
            large, fits = b"l" * (30 * MIB), b"f" * MIB
            with pytest.raises(RegistryError, match="registry's disk is full: the image wasn't stored. Tell an admini"):
                await to.upload("blue", digest_of(large), large, len(large))
            store.Folder(folder / "images").drop_uploads(time.time() + 1)  # as the keeper does after some minutes
            assert disk.room(folder).free > 14 * MIB, "nothing of what was refused stays"
            await to.upload("blue", digest_of(fits), fits, len(fits))
            assert await to.has_blob("blue", digest_of(fits)) and not await to.has_blob("blue", digest_of(large))
    finally:
        registry.stop()
