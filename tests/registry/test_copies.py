"""A registry that passes a public one on, and answers from its copies when that one is gone."""

import asyncio
import os
import subprocess
import sys

import pytest

from builder.registry_api import RegistryClient, digest_of
from builder.settings import Registry
from registry import images
from registry.binary import find
from tests.registry.harness import ROOT, free_port, wait_for
from tests.registry.test_keeper import push


@pytest.fixture
def start(tmp_path):
    processes = []

    def started(command, port, **environment):
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        processes.append(process)
        wait_for(("127.0.0.1", port), process)
        return process

    yield started
    for process in processes:
        process.terminate()
        process.wait(60)


async def kept(copy):
    """The server stores its copy beside the answer, not before it."""
    async with asyncio.timeout(60):
        while not copy.exists():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)


async def test_an_image_fetched_once_is_served_without_its_origin(start, tmp_path):
    public, copies = free_port(), free_port()
    config = tmp_path / "public.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/public}}}}\n"
        f"http: {{addr: '127.0.0.1:{public}'}}\n"
    )
    origin = start([find(), "serve", str(config)], public)
    async with RegistryClient(Registry(f"127.0.0.1:{public}")) as to:
        digest = await push(to, "library/thing", "1", b"public" * 100)
    start(
        [sys.executable, "-m", "registry", "serve"],
        copies,
        REGISTRY_DATA=str(tmp_path / "copies"),
        REGISTRY_LISTEN=f"127.0.0.1:{copies}",
        REGISTRY_REMOTE_URL=f"http://127.0.0.1:{public}",
    )
    layer = digest_of(b"public" * 100)
    async with RegistryClient(Registry(f"127.0.0.1:{copies}")) as asked:
        assert (await asked.manifest("library/thing", "1")).digest == digest
        assert await asked.blob("library/thing", layer) == b"public" * 100
        await kept(tmp_path / "copies/images" / images.blob_folder(layer) / "data")
        origin.terminate()
        origin.wait(60)
        assert (await asked.manifest("library/thing", digest)).digest == digest
        assert await asked.blob("library/thing", layer) == b"public" * 100
