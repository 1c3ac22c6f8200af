"""An engine that restarts underneath the agent: with its containers running on, and without them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from engine_worlds import STAY, busybox
from engines import TEST_IMAGE, docker_runtime, remove_everything
from kubelet_pods import make_pod
from own_engine import OwnEngine, engine_program
from worlds import World, entry, is_ready, local_api

from orchestrator.kubelet.engine import Engine
from orchestrator.kubelet.pause import import_busybox
from orchestrator.objects.kinds import PODS

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(engine_program() is None, reason="no dockerd on this machine to start another of"),
]


@pytest.fixture
async def engine() -> AsyncIterator[OwnEngine]:
    with tempfile.TemporaryDirectory(prefix="paas-engine-") as folder:  # short: it holds sockets
        made = OwnEngine(Path(folder))
        await asyncio.to_thread(made.start)
        client = Engine(made.host)
        try:
            await import_busybox(client, TEST_IMAGE)
            yield made
        finally:
            await client.close()
            await asyncio.to_thread(made.remove)


async def until_checked_again(world: World, container: str) -> None:
    """Until its probe has written two more lines into a container."""
    count = None
    async with asyncio.timeout(60):
        while True:
            found = len((await world.runtime.execute(container, ("cat", "/tmp/checks"), 10))[1])
            count = found if count is None else count
            if found >= count + 2:
                return
            await asyncio.sleep(0.2)


async def test_containers_outlive_a_killed_engine_and_come_back_after_one_that_took_them(
    engine: OwnEngine, tmp_path: Path
) -> None:
    async with local_api(tmp_path) as api:
        world = World(api, docker_runtime(tmp_path, host=engine.host), tmp_path / "agent", real=True)
        await world.start()
        try:
            exec_probe = {
                "exec": {"command": ["sh", "-c", "echo >> /tmp/checks"]},
                "periodSeconds": 1,
                "timeoutSeconds": 20,
                "failureThreshold": 1,
            }
            container = busybox(f": > /tmp/checks; {STAY}", livenessProbe=exec_probe)
            await world.create(make_pod(container, terminationGracePeriodSeconds=1))
            before = await world.until("web", is_ready)

            await asyncio.to_thread(engine.kill)
            await asyncio.sleep(1.5)  # a probe falls due meanwhile, and says nothing of the container
            await asyncio.to_thread(engine.start)
            await world.create(make_pod(busybox(), name="later", uid="", terminationGracePeriodSeconds=1))
            await world.until("later", is_ready)
            container_id = entry(before)["containerID"].rpartition("/")[2]
            await until_checked_again(world, container_id)
            after = await world.api.get(PODS, "web", "default")
            assert is_ready(after) and entry(after) == entry(before), "nothing of the pod restarted"

            await asyncio.to_thread(engine.kill)
            await asyncio.to_thread(engine.start, live_restore=False)
            for name in ("web", "later"):
                pod = await world.until(name, lambda pod: is_ready(pod) and entry(pod)["restartCount"] >= 1)
                assert entry(pod)["containerID"] != entry(before)["containerID"]
        finally:
            await world.stop()
            await world.runtime.close()
            await remove_everything(tmp_path, host=engine.host)
