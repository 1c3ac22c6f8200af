"""A runtime in which nothing runs and everything works: simulated nodes for scale tests and scratch platforms.

Any image "runs". A command that would end ends: `exit 3`, `false`, `true`, `echo …` behave as they would, everything
else goes on until stopped; in a pod that is never restarted it says what it is and ends well. Probes succeed, logs and
execs are plausible.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from orchestrator.kubelet.memory_process import MemoryProcess, pretend
from orchestrator.kubelet.runtime import (
    ContainerGone,
    ContainerSpec,
    ContainerStatus,
    ExecRequest,
    Image,
    ImageMissing,
    LogOptions,
    NodeFacts,
    PodRef,
    ProbeOutcome,
    RuntimeEvent,
    RuntimeFailure,
    Sandbox,
    Usage,
)
from orchestrator.network.addresses import AddressPool

GIB = 2**30


class MemoryRuntime:
    name = "memory"

    def __init__(self, node_cidr: str, *, host_address: str = "127.0.0.1", start_delay: float = 0.0) -> None:
        self._addresses = AddressPool(node_cidr)
        self._host_address, self._start_delay = host_address, start_delay
        self._sandboxes: dict[str, Sandbox] = {}
        self._containers: dict[str, ContainerStatus] = {}
        self._specs: dict[str, ContainerSpec] = {}
        self._logs: dict[str, list[tuple[float, bytes]]] = {}
        self._images: dict[str, Image] = {}
        self._ends: dict[str, asyncio.Event] = {}
        self._events: asyncio.Queue[RuntimeEvent] = asyncio.Queue()
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        self._events.put_nowait(RuntimeEvent("relist"))

    async def close(self) -> None:
        self._containers.clear()

    async def facts(self) -> NodeFacts:
        return NodeFacts(
            cpus=16, memory=64 * GIB, disk=500 * GIB, runtime_version="memory://1", kernel="simulated",
            operating_system="Simulated",
        )  # fmt: skip

    # sandboxes

    async def claim_sandbox(
        self, pod: PodRef, *, host_network: bool = False, sysctls: Sequence[tuple[str, str]] = ()
    ) -> Sandbox:
        if pod.uid not in self._sandboxes:
            if host_network:
                self._sandboxes[pod.uid] = Sandbox("", self._host_address, True)
            else:
                address = self._addresses.take()
                self._sandboxes[pod.uid] = Sandbox(self._new_id(), address)
        return self._sandboxes[pod.uid]

    async def sandbox_lives(self, sandbox: Sandbox) -> bool:
        return sandbox.host_network or sandbox in self._sandboxes.values()

    async def release_sandbox(self, pod: PodRef) -> None:
        if (sandbox := self._sandboxes.pop(pod.uid, None)) is not None and not sandbox.host_network:
            self._addresses.give_back(sandbox.address)

    async def claimed_sandboxes(self) -> dict[str, Sandbox]:
        return dict(self._sandboxes)

    # containers

    async def containers(self) -> list[ContainerStatus]:
        return list(self._containers.values())

    async def inspect(self, container_id: str) -> ContainerStatus:
        try:
            return self._containers[container_id]
        except KeyError:
            raise ContainerGone(f"container {container_id[:12]} is gone") from None

    async def create_container(self, spec: ContainerSpec) -> str:
        for known, other in self._specs.items():
            if (other.pod.uid, other.name, other.attempt) == (spec.pod.uid, spec.name, spec.attempt):
                return known
        container_id = self._new_id()
        self._specs[container_id] = spec
        self._logs[container_id] = []
        self._containers[container_id] = ContainerStatus(
            id=container_id,
            pod=spec.pod,
            name=spec.name,
            attempt=spec.attempt,
            state="created",
            sandbox_id=spec.sandbox.id,
            image=spec.image_name or spec.image,
            image_id=spec.image,
            created_at=time.time(),
        )
        return container_id

    async def start_container(self, container_id: str, *, hostname: str = "") -> None:
        status, spec = await self.inspect(container_id), self._specs[container_id]
        if status.state != "created":
            return
        if self._start_delay:
            await asyncio.sleep(self._start_delay)
        act = pretend(tuple(spec.command or ()) + tuple(spec.args or ()), spec.environment, one_off=spec.one_off)
        self._containers[container_id] = dataclasses.replace(status, state="running", started_at=time.time(), pid=1)
        for line in act.output.splitlines(keepends=True):
            self._logs[container_id].append((time.time(), line))
        if act.exit_code is not None:
            asyncio.get_running_loop().call_later(act.after, self._end, container_id, act.exit_code)

    async def signal_container(self, container_id: str, signal: str) -> None:
        if signal in ("SIGTERM", "SIGKILL", "SIGINT", "SIGQUIT", "15", "9"):
            killed = signal in ("SIGKILL", "9")
            self._end(container_id, 137 if killed else 143)

    async def remove_container(self, container_id: str) -> None:
        for table in (self._containers, self._specs, self._logs):
            table.pop(container_id, None)

    def _end(self, container_id: str, exit_code: int, *, oom_killed: bool = False) -> None:
        status = self._containers.get(container_id)
        if status is None or status.state != "running":
            return
        self._containers[container_id] = dataclasses.replace(
            status, state="exited", exit_code=exit_code, finished_at=time.time(), pid=0, oom_killed=oom_killed
        )
        if (event := self._ends.pop(container_id, None)) is not None:
            event.set()
        self._events.put_nowait(RuntimeEvent("changed", container_id, status.pod.uid))

    def crash(self, container_id: str, exit_code: int = 1, *, oom_killed: bool = False) -> None:
        """Ends a container from outside, for tests."""
        self._end(container_id, exit_code, oom_killed=oom_killed)

    # images

    async def image(self, reference: str) -> Image:
        try:
            return self._images[reference]
        except KeyError:
            raise ImageMissing(f"image {reference} isn't on this node") from None

    async def pull(self, reference: str, credentials: Mapping[str, str] | None = None) -> Image:
        image = Image(id=f"sha256:{abs(hash(reference)):064x}", names=(reference,), size=50 * 2**20)
        return self._images.setdefault(reference, image)

    async def images(self) -> list[Image]:
        return list(self._images.values())

    async def remove_image(self, image_id: str) -> None:
        if any(status.image_id == image_id for status in self._containers.values()):
            raise RuntimeFailure(f"image {image_id} is in use")
        self._images = {name: image for name, image in self._images.items() if image.id != image_id}

    # what happens

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        while True:
            yield await self._events.get()

    async def usage(self, container: ContainerStatus) -> Usage | None:
        if container.state != "running":
            return None
        ran = time.time() - container.started_at
        return Usage(cpu_nanoseconds=int(ran * 5_000_000), memory_working_set=20 * 2**20, memory_usage=24 * 2**20)

    async def storage_use(self, container_id: str) -> int:
        return sum(len(line) for _, line in self._logs.get(container_id, ()))

    async def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[tuple[int, bytes]]:
        if container_id not in self._logs:
            raise ContainerGone(f"container {container_id[:12]} is gone")
        lines = [line for line in self._logs[container_id] if options.since is None or line[0] >= options.since]
        if options.tail is not None:
            lines = lines[max(len(lines) - options.tail, 0) :]
        for moment, line in lines:
            yield 1, (stamp(moment) + line if options.timestamps else line)
        status = self._containers.get(container_id)
        if options.follow and status is not None and status.state == "running":
            await self._ends.setdefault(container_id, asyncio.Event()).wait()

    async def execute(self, container_id: str, command: tuple[str, ...], deadline: float) -> tuple[int, bytes]:
        act = pretend(command, self._specs[container_id].environment if container_id in self._specs else {})
        return act.exit_code or 0, act.output

    async def open_exec(self, container_id: str, request: ExecRequest) -> MemoryProcess:
        if (await self.inspect(container_id)).state != "running":
            raise ContainerGone(f"container {container_id[:12]} isn't running")
        return MemoryProcess(pretend(request.command, self._specs[container_id].environment), echo=request.stdin)

    async def attach(self, container_id: str, request: ExecRequest) -> MemoryProcess:
        if (await self.inspect(container_id)).state == "exited":
            raise ContainerGone(f"container {container_id[:12]} isn't running")
        return MemoryProcess(pretend((), {}), echo=request.stdin)

    async def probe(self, action: Mapping[str, Any], address: str, deadline: float) -> ProbeOutcome:
        return ProbeOutcome(True)

    async def dial(self, sandbox: Sandbox, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise RuntimeFailure(f"nothing listens on port {port}: pods of a simulated node have no network")

    def _new_id(self) -> str:
        return f"{next(self._numbers):064x}"


def stamp(moment: float) -> bytes:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{whole}.{int(moment % 1 * 1e9):09d}Z ".encode()
