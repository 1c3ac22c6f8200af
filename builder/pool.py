"""Build containers that wait for work: a push takes a running one and another is made behind its back."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from builder import fence, step_fence, workspace
from builder.engine import Engine, host_mtu
from builder.errors import BuildFailed, EngineError
from builder.host_config import HostConfig
from builder.settings import Settings
from builder.workspace import Workspace

log = logging.getLogger("builder.pool")
BUILDPACKS = Path(__file__).resolve().parent / "buildpacks"
RETRY = 5.0  # seconds after a container could not be made


@dataclass
class BuildContainer:
    id: str
    space: Workspace
    output: aiohttp.ClientResponse
    init: int | None = None  # descriptor of its first process, readable when that has ended; None: not on this host
    on_killed: Callable[[], None] | None = None  # called when the container is gone, its folders still there

    def close(self) -> None:
        if self.init is not None:
            os.close(self.init)
            self.init = None


def labels(instance: str) -> dict[str, str]:
    return {"paas.io/instance": instance, "paas.io/component": "builder"}


def network_name(instance: str) -> str:
    return f"{instance}-builds"


CPU_SHARES = 2  # as of an app that asked for no CPU: the engine's default would take 500 times as much as that app


def container_spec(settings: Settings, host: HostConfig, space: Workspace, image: str) -> dict[str, Any]:
    """A build container: unprivileged user, no capabilities, capped, and nothing of the host but read-only mounts."""
    binds = [f"{space.root}:/workspace", f"{space.app}:/app", f"{BUILDPACKS}:/buildpacks:ro"]
    binds += [f"{source}:{target}:ro" for source, target in host.binds]
    binds.append(f"{settings.data / 'buildpacks'}:{settings.data / 'buildpacks'}:ro")
    limits = settings.limits
    return {
        "Image": image,
        "Cmd": ["/bin/bash", "/buildpacks/run"],
        "User": str(workspace.APP_UID),
        "Env": [f"{key}={value}" for key, value in host.env.items()],
        "Labels": labels(settings.instance),
        "NetworkDisabled": False,
        "HostConfig": {
            "Binds": binds,
            "Memory": limits.memory,
            "MemorySwap": limits.memory,
            "NanoCpus": int(limits.cpus * 1e9),
            "CpuShares": CPU_SHARES,
            "PidsLimit": limits.pids,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "NetworkMode": network_name(settings.instance),
            "LogConfig": {"Type": "none"},
            "Init": False,
        },
    }


class Pool:
    def __init__(self, engine: Engine, settings: Settings, host: HostConfig) -> None:
        self._engine, self._settings, self._host = engine, settings, host
        self._ready: asyncio.Queue[BuildContainer] = asyncio.Queue()
        self._wanted = asyncio.Event()
        self._bridge, self._making_network = "", asyncio.Lock()
        self._pending: set[asyncio.Task[Any]] = set()  # goes on though nobody waits for it

    @property
    def credentials(self) -> dict[str, str]:
        """What of the host's settings must not be shown, by the name to show instead."""
        return self._host.credentials()

    async def clean(self) -> None:
        """Remove containers and packet filter rules of a builder that was here before."""
        for container in await self._engine.containers(labels(self._settings.instance)):
            await self._engine.remove(container["Id"])
        if self._settings.engine_is_here:
            await step_fence.sweep(self._settings.instance)

    async def run(self) -> None:
        """Keep `settings.pool` containers ready, for ever."""
        while True:
            self._wanted.clear()
            try:
                while self._ready.qsize() < self._settings.pool:
                    self._ready.put_nowait(await self._made())
            except (EngineError, OSError) as exc:
                log.warning("no build container ready: %s", exc)
                await asyncio.sleep(RETRY)
                continue
            await self._wanted.wait()

    async def take(self) -> BuildContainer:
        """A running container, ready or made now. Raises: BuildFailed when the engine makes none."""
        while not self._ready.empty():
            container = self._ready.get_nowait()
            if await self._alive(container):
                return container
            await self.discard(container)
        try:
            return await self._made()
        except EngineError as exc:
            raise BuildFailed(f"No build container could be started: {exc}") from exc

    def space(self) -> Workspace:
        """An empty workspace that belongs to no container yet."""
        return workspace.create(self._settings.data / "work")

    def vacate(self, space: Workspace) -> None:
        """Remove a workspace behind the push's back."""
        self._keep(asyncio.create_task(workspace.remove(space)))

    def retire(self, container: BuildContainer) -> None:
        """Discard a used container behind the push's back, then make the next one."""
        self._keep(asyncio.create_task(self.discard(container)))

    async def discard(self, container: BuildContainer) -> None:
        """Kill the container with everything in it and remove its workspace."""
        container.output.close()
        container.close()
        try:
            await self._engine.remove(container.id)
        except EngineError as exc:
            log.warning("build container %s stays until the next start: %s", container.id[:12], exc)
        if container.on_killed:
            container.on_killed()
        await workspace.remove(container.space)
        self._wanted.set()

    async def close(self) -> None:
        """Nothing of the pool stays on the engine."""
        while not self._ready.empty():
            self.retire(self._ready.get_nowait())
        while self._pending:
            await asyncio.wait(self._pending)
        with suppress(EngineError):
            await self._engine.remove_network(network_name(self._settings.instance))
            if self._settings.engine_is_here:
                await fence.take_down(self._settings.instance)
                await step_fence.sweep(self._settings.instance)

    async def _alive(self, container: BuildContainer) -> bool:
        """Whether it runs and its output still reaches us; an engine that restarted keeps the one, not the other."""
        if container.output.connection is None or container.output.content.at_eof():
            return False
        try:
            return bool((await self._engine.inspect(container.id))["State"]["Running"])
        except EngineError:
            return False

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _made(self) -> BuildContainer:
        """A new container. The engine's work isn't cut short when whoever waits is: its outcome is retired."""
        making = asyncio.create_task(self._make())
        self._keep(making)
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(lambda task: None if task.exception() else self.retire(task.result()))
            raise

    async def _make(self) -> BuildContainer:
        await self.ensure_network()
        space = workspace.create(self._settings.data / "work")
        name = f"{self._settings.instance}-build-{space.root.name}"
        container = ""
        try:
            container = await self._engine.create(
                name, container_spec(self._settings, self._host, space, self._settings.build_image)
            )
            output = await self._engine.attach(container)
            await self._engine.start(container)
            return BuildContainer(container, space, output, await self._init_of(container))
        except BaseException:
            if container:
                await self._engine.remove(container)
            await workspace.remove(space)
            self._bridge = ""
            raise

    async def ensure_network(self) -> None:
        """The builds' network, fenced; the rules are written anew each time, for somebody may have flushed them."""
        async with self._making_network:  # the engine makes two networks of one name
            if not self._bridge:
                mtu = self._settings.mtu or host_mtu()
                name, marks = network_name(self._settings.instance), labels(self._settings.instance)
                self._bridge = await self._engine.ensure_network(name, marks, mtu)
            if self._settings.engine_is_here:
                await fence.put_up(self._settings.instance, self._bridge, self._settings.denied, self._host)

    async def exchange(
        self,
        container: BuildContainer,
        image: str,
        changes: Mapping[str, Any] | None = None,
        binds: Sequence[str] | None = None,
    ) -> None:
        """Have `container` be one of `image`, over the same workspace. Raises: EngineError; then it is gone.

        `changes` and `binds` take the place of what a buildpack's container has.
        """
        container.output.close()
        await self._engine.remove(container.id)
        name = f"{self._settings.instance}-build-{container.space.root.name}"
        spec = {**container_spec(self._settings, self._host, container.space, image), **(changes or {})}
        if binds is not None:
            spec["HostConfig"] = {**spec["HostConfig"], "Binds": list(binds)}
        container.id = await self._engine.create(name, spec)
        container.output = await self._engine.attach(container.id)
        await self._engine.start(container.id)
        container.close()
        container.init = await self._init_of(container.id)

    async def _init_of(self, container: str) -> int | None:
        """The container's first process, if it is one of this host's."""
        pid = int((await self._engine.inspect(container))["State"].get("Pid") or 0)
        return open_process(pid, container)


def open_process(pid: int, container: str) -> int | None:
    """A descriptor of process `pid`, if it is this host's and in the control group of `container`."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        if container in Path(f"/proc/{pid}/cgroup").read_text():
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def environment_line(values: Mapping[str, str]) -> str:
    """The one line a waiting container reads: values in a fixed order, none with blanks."""
    return " ".join(values[key] or "-" for key in ("source_version", "request_id"))
