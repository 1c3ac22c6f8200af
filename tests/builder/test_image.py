"""What of an image is sent to the registry, and what is only named."""

import asyncio

import pytest

from builder import workspace
from builder.built import Built
from builder.image import Assembler, Base
from builder.layers import LayerMemory
from builder.progress import Progress
from builder.registry_api import PartsMissing


class Registry:
    """A registry's blobs of one app in memory, and what it was asked."""

    def __init__(self):
        self.blobs, self.calls = set(), []

    async def mount(self, repository, digest, source):
        self.calls.append("mount")
        self.blobs.add(digest)

    async def has_blob(self, repository, digest):
        self.calls.append("look")
        return digest in self.blobs

    async def upload(self, repository, digest, content, size, is_new=False):
        self.calls.append("new" if is_new else "upload")
        self.blobs.add(digest)

    async def put_manifest(self, repository, tag, manifest):
        named = {manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
        if not named <= self.blobs:
            raise PartsMissing("a part is missing")
        return f"sha256:image-{len(self.calls)}"


@pytest.fixture
def app(tmp_path):
    """An assembler, its registry, and a way to make images of a tree with `text` in it."""
    registry, space = Registry(), workspace.create(tmp_path / "work")
    assembler = Assembler(registry, LayerMemory(tmp_path / "layers"))
    base = Base("paas/stack", {"layers": [{"digest": "sha256:base"}]}, {"rootfs": {"diff_ids": []}})
    (tmp_path / "cache/layers/python-1").mkdir(parents=True)
    (space.app / "venv").symlink_to("/workspace/cache/layers/python-1")

    def make(text):
        registry.calls.clear()
        (space.app / "code").write_text(text)
        built = Built("Python", space, {"web": "x"}, 0)
        progress = Progress(lambda data: None)
        asyncio.run(assembler.assemble("hello", "git-1", built, tmp_path / "cache", base, {}, progress))
        return sorted(registry.calls)

    return registry, make


def test_what_the_last_image_had_is_named_without_asking_for_it(app):
    _, make = app
    assert make("1") == ["mount", "upload", "upload", "upload"]  # dependencies, code, config
    assert make("2") == ["new", "new"]
    assert make("2") == []


def test_what_the_registry_lost_meanwhile_is_sent_again(app):
    registry, make = app
    make("1")
    registry.blobs.clear()
    assert make("2") == ["look", "mount", "new", "new", "upload", "upload", "upload"]
    assert make("3") == ["new", "new"]
