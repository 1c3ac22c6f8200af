"""A runtime over this machine's Docker Engine, with its own instance, address range and image."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from orchestrator.kubelet.cleanup import remove_containers, unmount_below
from orchestrator.kubelet.docker import DockerRuntime
from orchestrator.kubelet.engine import Engine, EngineError
from orchestrator.kubelet.pause import import_busybox
from orchestrator.kubelet.sandboxes import SandboxPool
from orchestrator.network.pods import PodNetwork, remove_pod_network

DOCKER_HOST = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
NUMBER = os.getpid() % 200 + 20
INSTANCE = f"agent-test-{NUMBER}"
NODE_CIDR = f"10.200.{NUMBER}.0/24"
TEST_IMAGE = "paas-test/agent-busybox:1"


def docker_runtime(folder: Path, *, pool: int = 2, host: str = DOCKER_HOST) -> DockerRuntime:
    """A runtime as a fresh agent makes it; two over one folder are one agent before and after a restart."""
    engine = Engine(host)
    network = PodNetwork(instance=INSTANCE, node_cidr=NODE_CIDR, cluster_cidr="10.200.0.0/16")
    sandboxes = SandboxPool(
        engine, network, instance=INSTANCE, checkpoints=folder / "sandboxes", size=pool, host_address="127.0.0.1"
    )
    return DockerRuntime(engine, sandboxes, instance=INSTANCE)


@asynccontextmanager
async def busybox_image() -> AsyncIterator[str]:
    engine = Engine(DOCKER_HOST)
    try:
        await import_busybox(engine, TEST_IMAGE)
        yield TEST_IMAGE
    finally:
        await engine.close()


async def remove_everything(folder: Path, *, host: str = DOCKER_HOST) -> None:
    """What `cleanup` does, inside a running loop, and the test's image."""
    await remove_containers(INSTANCE, host, "")
    unmount_below(folder)
    await asyncio.to_thread(remove_pod_network, INSTANCE)
    engine = Engine(host)
    try:
        await engine.call("DELETE", f"/images/{TEST_IMAGE}", params={"force": True})
    except EngineError as exc:
        if exc.status not in (404, 409):
            raise
    finally:
        await engine.close()
