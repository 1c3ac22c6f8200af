"""What a collection removes from this machine's engine: images of ours that aren't kept, and nothing else."""

import gzip
import hashlib
import io
import json
import os
import tarfile
import uuid

import aiohttp
import pytest

from builder.collect import Collector, Left, Wish, is_app_image, parse_wish
from builder.engine import Engine
from builder.pool import labels
from builder.registry_api import CONFIG, LAYER, MANIFEST, RegistryClient, digest_of
from builder.repository import YOUNG, Repositories
from builder.settings import Registry
from tests.registry.harness import PASSWORD, USERNAME

DOCKER = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
APPS = frozenset({"blue"})


def make_layer(text):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        member = tarfile.TarInfo("file")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return content.getvalue()


async def push(to, app, text):
    """A real image of one file; its digest."""
    tar = make_layer(text)
    layer = gzip.compress(tar)
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {}, "created": "2020-01-01T00:00:00Z",
         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]}}
    ).encode()  # fmt: skip
    parts = [(CONFIG, config), (LAYER, layer)]
    for _, content in parts:
        await to.upload(app, digest_of(content), content, len(content))
    described = [{"mediaType": kind, "size": len(one), "digest": digest_of(one)} for kind, one in parts]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
    return await to.put_manifest(app, "latest", manifest)


@pytest.mark.engine
async def test_app_images_and_containers_that_nobody_keeps_go_and_foreign_ones_stay(registry, tmp_path):
    host, instance = registry[0], f"collect-{uuid.uuid4().hex[:8]}"
    auth = {"username": USERNAME, "password": PASSWORD}
    repositories = Repositories(tmp_path / "repos", tmp_path / "hooks", "git", 0)
    async with Engine(DOCKER) as engine, RegistryClient(Registry(host, USERNAME, PASSWORD)) as to:
        old, new = [await push(to, "blue", text) for text in (b"old", b"new")]
        platform = await push(to, "paas/thing", b"platform")
        names = [f"{host}/blue@{old}", f"{host}/blue@{new}", f"{host}/paas/thing@{platform}"]
        for name in names:
            await engine.pull(name, auth)
        used = await engine.create("", {"Image": names[1], "Cmd": ["x"], "Labels": labels(instance)})
        collector = Collector(engine, instance, host, repositories)
        try:
            rehearsed = await collector.collect(Wish(frozenset({new}), APPS, -60, True))
            assert {one.name for one in rehearsed} == {names[0], used[:12]}
            assert await engine.image(names[0]), "a rehearsal removes nothing"
            done = await collector.collect(Wish(frozenset({new}), APPS, -60, False))
            assert {one.name for one in done} == {names[0], used[:12]}
            assert await engine.image(names[0]) is None
            assert await engine.image(names[1]) and await engine.image(names[2])
        finally:
            await engine.remove(used)
            for name in names:
                await engine.untag(name)


async def test_files_of_apps_that_are_gone_go(tmp_path, monkeypatch):
    class Empty:
        """An engine with nothing in it."""

        async def call(self, method, path, **_):
            return {} if path == "/volumes" else []

        async def containers(self, _):
            return []

    repositories = Repositories(tmp_path / "repos", tmp_path / "hooks", "git", 0)
    for app in ("blue", "gone"):
        (tmp_path / f"repos/{app}.git").mkdir(parents=True)
        (tmp_path / f"cache/{app}").mkdir(parents=True)
        (tmp_path / f"cache/{app}/file").write_bytes(b"x" * 100)
    monkeypatch.setattr("builder.collect.time.time", lambda: (tmp_path / "repos").stat().st_mtime + YOUNG + 60)
    collector = Collector(Empty(), "x", "127.0.0.1:5000", repositories)
    gone = [Left("files of app", "gone", 100)]
    assert await collector.collect(Wish(frozenset(), APPS, 0, True)) == gone
    assert (tmp_path / "cache/gone/file").exists()
    assert await collector.collect(Wish(frozenset(), APPS, 0, False)) == gone
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["blue"]


def test_only_references_of_apps_in_our_registry_count():
    assert is_app_image("127.0.0.1:5000/blue@sha256:00", "127.0.0.1:5000")
    assert not is_app_image("127.0.0.1:5000/paas/stack:trixie", "127.0.0.1:5000")
    assert not is_app_image("127.0.0.1:50001/blue:1", "127.0.0.1:5000")


@pytest.mark.parametrize(
    ("body", "field"),
    [([], "the body"), ({"apps": []}, "keep"), ({"keep": [], "apps": [1]}, "apps"),
     ({"keep": [], "apps": [], "older_than": True}, "older_than"), ({"keep": [], "apps": [], "dry_run": 1}, "dry_run")],
)  # fmt: skip
def test_a_wrong_wish_names_its_field(body, field):
    with pytest.raises(ValueError, match=f"^{field}"):
        parse_wish(body)


@pytest.mark.engine
async def test_without_the_builders_key_nobody_collects(builder):
    async with aiohttp.ClientSession() as session:
        async with session.post(f"http://127.0.0.1:{builder.http_port}/collect", json={}) as answer:
            assert answer.status == 403
