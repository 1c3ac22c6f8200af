"""The live server of the other conformance tests, with this machine's Docker Engine underneath."""

from __future__ import annotations

import asyncio
import os

import pytest

from orchestrator.errors import OrchestratorError
from orchestrator.kubelet.cleanup import cleanup
from orchestrator.kubelet.engine import Engine
from orchestrator.kubelet.pause import import_busybox
from tests.conformance.live import Cluster

DOCKER_HOST = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
NUMBER = os.getpid() % 60
INSTANCE = f"conformance-{NUMBER}"
IMAGE = f"paas-test/conformance-busybox:{NUMBER}"


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(os.path.dirname(__file__)):
            item.add_marker("engine")


async def _make_image() -> None:
    engine = Engine(DOCKER_HOST)
    try:
        await import_busybox(engine, IMAGE)
    finally:
        await engine.close()


async def _remove_image() -> None:
    engine = Engine(DOCKER_HOST)
    try:
        await engine.call("DELETE", f"/images/{IMAGE}", params={"force": True})
    finally:
        await engine.close()


@pytest.fixture(scope="session")
def image():
    """A local image of busybox: `sh`, `httpd`, `wget`, `nc`."""
    try:
        asyncio.run(_make_image())
    except (OrchestratorError, OSError) as exc:
        pytest.skip(f"no Docker Engine that works: {exc}")
    yield IMAGE
    asyncio.run(_remove_image())


@pytest.fixture(scope="session")
def cluster(tmp_path_factory, image):
    folder = tmp_path_factory.mktemp("engine-cluster")
    cluster = Cluster(
        folder, AGENT_RUNTIME="docker", AGENT_INSTANCE=INSTANCE, AGENT_SANDBOX_POOL="4", DOCKER_HOST=DOCKER_HOST,
        ORCHESTRATOR_POD_CIDR=f"10.212.{NUMBER * 4}.0/22", ORCHESTRATOR_SERVICE_CIDR=f"10.213.{NUMBER * 4}.0/22",
    )  # fmt: skip
    cluster.start()
    yield cluster
    cluster.stop()
    cleanup(INSTANCE, DOCKER_HOST, data=folder / "agent")
