"""A collection on a real registry: what is kept can be pulled, what isn't is gone from the disk, pushes go on."""

import asyncio
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from builder.registry_api import CONFIG, LAYER, MANIFEST, RegistryClient, digest_of
from builder.settings import Registry
from registry import images, store
from registry.errors import SettingsError
from registry.keeper import Keeper, Wish
from registry.settings import admin_address
from tests.registry.harness import PASSWORD, ROOT, USERNAME, RunningRegistry, free_port


@pytest.fixture
def registry(tmp_path):
    running = RunningRegistry(tmp_path)
    yield running
    running.stop()


def client(registry):
    return RegistryClient(Registry(registry.host, USERNAME, PASSWORD))


async def push(to, repository, tag, layer):
    """An image of one layer; its digest."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "of": layer.decode()[:20]}).encode()
    for content in (config, layer):
        await to.upload(repository, digest_of(content), content, len(content))
    described = [{"mediaType": kind, "size": len(one), "digest": digest_of(one)}
                 for kind, one in ((CONFIG, config), (LAYER, layer))]  # fmt: skip
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
    return await to.put_manifest(repository, tag, manifest)


def over_the_network(port, key):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = json.dumps({"keep": {}, "older_than": 0, "dry_run": True})
    connection.request("POST", "/collect", body, {"X-Deis-Builder-Auth": key} if key else {})
    return connection.getresponse().status


def test_the_door_over_the_network_opens_with_the_key(tmp_path):
    (tmp_path / "key").write_text("the-key\n")
    port = free_port()
    settings = {"REGISTRY_ADMIN_LISTEN": f"127.0.0.1:{port}", "REGISTRY_NOTIFY_KEY_FILE": str(tmp_path / "key")}
    registry = RunningRegistry(tmp_path, **settings)
    try:
        assert [over_the_network(port, key) for key in ("", "wrong", "the-key")] == [401, 401, 200]
    finally:
        registry.stop()
    with pytest.raises(SettingsError, match="REGISTRY_NOTIFY_KEY_FILE"):
        admin_address({"REGISTRY_ADMIN_LISTEN": "127.0.0.1:1"})


TOLD_ELSEWHERE = """
import signal, threading
from pathlib import Path
from registry.keeper import Keeper
keeper = Keeper("registry", Path(), None)
keeper._hear_signals()
threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()
print(keeper._events.get(timeout=60)[0])
"""


def test_a_signal_is_heard_at_once_where_the_main_thread_waits_undisturbed():
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", TOLD_ELSEWHERE], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (done.stdout, done.stderr) == ("stop\n", "") and time.monotonic() - began < 50


def collect(registry, keep, **more):
    connection = http.client.HTTPConnection("registry", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(registry.admin))
    connection.request("POST", "/collect", json.dumps({"keep": keep, "older_than": 0, **more}))
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return answer.status, body


async def test_what_nobody_keeps_goes_with_its_layers_and_the_rest_stays(registry):
    async with client(registry) as to:
        old = await push(to, "blue", "git-1", b"old" * 1000)
        new = await push(to, "blue", "git-2", b"new" * 1000)
        lost = await push(to, "gone", "git-1", b"lost" * 1000)
        stack = await push(to, "paas/stack", "trixie", b"stack" * 1000)
        status, told = await asyncio.to_thread(collect, registry, {"blue": [new]}, dry_run=True)
        assert status == 200 and {one["digest"] for one in told["images"]} == {old, lost} and told["freed"] is None
        assert await to.manifest("blue", old)
        status, told = await asyncio.to_thread(collect, registry, {"blue": [new]})
        assert status == 200 and told["freed"] > 7000, told
        assert await to.manifest("blue", "git-1") is None and await to.manifest("gone", lost) is None
        assert (await to.manifest("blue", "git-2")).digest == new and await to.manifest("paas/stack", stack)
        assert await to.blob("blue", digest_of(b"new" * 1000)) == b"new" * 1000
        assert not await to.has_blob("blue", digest_of(b"old" * 1000))
        assert not (registry.data / "images/docker/registry/v2/repositories/gone").exists()
        assert await push(to, "blue", "git-3", b"old" * 1000), "what was swept can be pushed again"


async def test_the_newest_cache_of_builds_stays_as_long_as_the_app_keeps_anything(registry):
    async with client(registry) as to:
        kept = await push(to, "blue", "git-1", b"kept" * 1000)
        caches = [await push(to, "blue", "cnb-cache", f"cache {number}".encode() * 1000) for number in range(2)]
        dead = [await push(to, "gone", tag, b"dead" * 1000) for tag in ("git-1", "build-cache")]
        status, told = await asyncio.to_thread(collect, registry, {"blue": [kept]})
        assert status == 200 and {one["digest"] for one in told["images"]} == {caches[0], *dead}
        assert (await to.manifest("blue", "cnb-cache")).digest == caches[1] and await to.manifest("blue", "git-1")
        assert await to.manifest("gone", "build-cache") is None


async def test_what_came_of_an_upload_that_broke_off_goes_once_it_is_old(registry):
    async with client(registry) as to:
        kept = await push(to, "blue", "git-1", b"kept" * 1000)
    left = registry.data / "images/docker/registry/v2/repositories/blue/_uploads/some-id"
    left.mkdir(parents=True)
    (left / "data").write_bytes(b"x" * 1000)
    status, _ = await asyncio.to_thread(collect, registry, {"blue": [kept]}, older_than=60)
    assert status == 200 and left.exists()
    os.utime(left / "data", (time.time() - 100,) * 2)
    status, _ = await asyncio.to_thread(collect, registry, {"blue": [kept]}, older_than=60)
    assert status == 200 and not left.exists()


async def test_a_young_image_stays_whoever_keeps_it(registry):
    async with client(registry) as to:
        await push(to, "blue", "git-1", b"young" * 1000)
    status, told = await asyncio.to_thread(collect, registry, {}, older_than=60)
    assert (status, told["images"]) == (200, [])


async def test_parts_of_a_kept_index_are_kept(registry):
    async with client(registry) as to:
        part = await push(to, "blue", "part", b"part" * 1000)
        index = {
            "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
            "manifests": [{"mediaType": MANIFEST, "size": 1, "digest": part,
                           "platform": {"os": "linux", "architecture": "amd64"}}],
        }  # fmt: skip
        whole = await to.put_manifest("blue", "latest", index)
        await asyncio.to_thread(collect, registry, {"blue": [whole]})
        assert await to.manifest("blue", part)


async def test_pushes_during_collections_wait_and_succeed(registry):
    stop, collections = threading.Event(), []

    def collect_on(digests):
        while digests and not stop.is_set():
            digests.pop()
            collections.append(collect(registry, {"blue": digests}, older_than=600))

    async with client(registry) as to:
        old = [await push(to, "blue", f"old-{i}", f"old {i}".encode() * 100) for i in range(40)]
        for path in (registry.data / "images").rglob("*"):
            os.utime(path, (time.time() - 3600,) * 2)
        worker = threading.Thread(target=collect_on, args=(old,))
        worker.start()
        try:
            pushed = [await push(to, "blue", f"git-{i}", f"new {i}".encode() * 100) for i in range(20)]
        finally:
            stop.set()
            await asyncio.to_thread(worker.join, 60)
    assert len(set(pushed)) == 20
    assert len(collections) > 1 and all(status == 200 and told["freed"] > 0 for status, told in collections)


class Busy(store.Folder):
    """A push ends as soon as a collection has removed what goes."""

    def remove(self, folders):
        super().remove(folders)
        put(self._root, f"{images.blob_folder(PUSHED)}/data", b"x" * 10_000)


PUSHED, GOES = digest_of(b"pushed"), digest_of(b"goes")


def put(root, name, content):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content)


def test_what_was_freed_is_what_went_whatever_is_pushed_meanwhile(tmp_path):
    manifest = b'{"layers": []}'
    put(tmp_path, f"{images.blob_folder(GOES)}/data", manifest)
    put(tmp_path, f"{images.REPOSITORIES}/blue/_manifests/revisions/{GOES.replace(':', '/')}/link", GOES.encode())
    keeper = Keeper("true", tmp_path, Busy(tmp_path))
    told = keeper.collect_now(Wish({}, older_than=-1, dry_run=False))
    assert [one["digest"] for one in told["images"]] == [GOES] and told["freed"] == len(manifest)


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "keep"), ({"keep": {"a": 1}}, "keep"), ({"keep": {}, "older_than": -1}, "older_than"),
     ({"keep": {}, "dry_run": "yes"}, "dry_run")],
)  # fmt: skip
def test_a_wrong_wish_names_its_field_and_removes_nothing(registry, body, field):
    connection = http.client.HTTPConnection("registry", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(registry.admin))
    connection.request("POST", "/collect", json.dumps(body))
    answer = connection.getresponse()
    assert answer.status == 400 and json.loads(answer.read())["error"].startswith(field)


def test_a_killed_keeper_takes_the_server_with_it(registry):
    host, _, port = registry.host.rpartition(":")
    registry.process.send_signal(signal.SIGKILL)
    registry.process.wait(60)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))):
                return
        time.sleep(0.05)
    raise AssertionError("the server outlives its keeper")
