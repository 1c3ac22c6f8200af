"""A node without an engine: the real agent over the real API in this process and the in-memory runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from orchestrator.apiserver.main import Server
from orchestrator.client import ApiClient
from orchestrator.errors import NotFound
from orchestrator.kubelet.agent import NodeAgent, PodSource
from orchestrator.kubelet.environment import NodeView
from orchestrator.kubelet.lookup import Lookup
from orchestrator.kubelet.memory import MemoryRuntime
from orchestrator.kubelet.runtime import Runtime
from orchestrator.kubelet.services import NodeServices
from orchestrator.kubelet.volumes import Volumes
from orchestrator.machinery.clock import RealClock
from orchestrator.machinery.events import Recorder
from orchestrator.objects.kinds import EVENTS, PODS
from orchestrator.settings import ServerSettings

DEADLINE = 60.0  # seconds for what takes tenths of one on a quiet machine


class World:
    """A node and its API; `until` waits for a pod to look as a test expects."""

    def __init__(self, api: ApiClient, runtime: Runtime, data: Path, *, real: bool = False) -> None:
        self.api, self.runtime = api, runtime
        self.recorder = Recorder(api, RealClock(), "kubelet")
        node = NodeView(name="node-1", address="192.0.2.10", cpus=2, memory=4 * 2**30)
        lookup = Lookup(api)
        volumes = Volumes(data, lookup, node=node, dns_address="10.200.0.1", cluster_domain="cluster.local", real=real)
        room = {"cpu": 2000, "memory": 4 * 2**30, "ephemeral-storage": 2**34, "pods": 20}
        services = NodeServices(api, runtime, volumes, lookup, self.recorder, node, allocatable=room)
        self.agent = NodeAgent("node-1", services, refresh_every=0.5)
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        await self.agent.start()
        source = PodSource(self.api, {"node-1": self.agent})
        for step in (self.recorder.run(), self.agent.run(), source.run()):
            self._tasks.append(asyncio.create_task(step))

    async def stop(self) -> None:
        """As a killed agent: nothing is tidied."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.agent.close()

    async def create(self, pod: dict[str, Any]) -> dict[str, Any]:
        return await self.api.create(PODS, pod)

    async def delete(self, name: str, grace: int | None = None) -> None:
        await self.api.delete(PODS, name, "default", grace_period=grace)

    async def until(
        self, name: str, holds: Callable[[dict[str, Any]], Any], deadline: float = DEADLINE
    ) -> dict[str, Any]:
        pod: dict[str, Any] = {}
        try:
            async with asyncio.timeout(deadline):
                while True:
                    pod = await self.api.get(PODS, name, "default")
                    if holds(pod):
                        return pod
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"pod {name} stayed {pod.get('status')}") from None

    async def until_gone(self, name: str, deadline: float = DEADLINE) -> None:
        try:
            async with asyncio.timeout(deadline):
                while True:
                    await self.api.get(PODS, name, "default")
                    await asyncio.sleep(0.01)
        except NotFound:
            return

    async def until_event(self, name: str, reason: str, begins: str = "", times: int = 1) -> str:
        """The message of the first event of that reason about that pod whose message begins so, once told `times`."""
        async with asyncio.timeout(DEADLINE):
            while True:
                for event in (await self.api.list(EVENTS)).items:
                    about = (event["involvedObject"]["name"], event["reason"]) == (name, reason)
                    if about and event["message"].startswith(begins) and event["count"] >= times:
                        return str(event["message"])
                await asyncio.sleep(0.02)


@asynccontextmanager
async def local_api(folder: Path) -> AsyncIterator[ApiClient]:
    """A server without controllers over a fresh store, asked in its own process."""
    server = Server(ServerSettings(data=folder / "server", port=0), controllers=False)
    await server.start()
    try:
        yield server.client
    finally:
        await server.stop()


@asynccontextmanager
async def simulated_world(folder: Path) -> AsyncIterator[World]:
    async with local_api(folder) as api:
        world = World(api, MemoryRuntime("10.200.0.0/24"), folder / "agent")
        await world.start()
        try:
            yield world
        finally:
            await world.stop()


def is_ready(pod: dict[str, Any]) -> bool:
    return condition(pod, "Ready") == "True"


def condition(pod: dict[str, Any], kind: str) -> str:
    found = {c["type"]: c["status"] for c in pod["status"].get("conditions") or ()}
    return found.get(kind, "")


def entry(pod: dict[str, Any], name: str = "main") -> dict[str, Any]:
    every = [*(pod["status"].get("containerStatuses") or ()), *(pod["status"].get("initContainerStatuses") or ())]
    return next((each for each in every if each["name"] == name), {})


def waiting_reason(pod: dict[str, Any], name: str = "main") -> str:
    return entry(pod, name).get("state", {}).get("waiting", {}).get("reason", "")
