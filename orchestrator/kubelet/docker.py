"""The Runtime over a Docker Engine. What it makes carries labels; what carries none of ours is never touched."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from orchestrator.kubelet import labels
from orchestrator.kubelet.docker_images import DockerImages
from orchestrator.kubelet.docker_streams import DockerStream
from orchestrator.kubelet.engine import Engine, EngineError, demultiplexed
from orchestrator.kubelet.hostname import Hostnames
from orchestrator.kubelet.node_facts import read_node_facts
from orchestrator.kubelet.probe_actions import run_probe
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
    RuntimeUnavailable,
    Sandbox,
    Usage,
)
from orchestrator.kubelet.sandboxes import SandboxPool
from orchestrator.kubelet.start_slots import StartSlots
from orchestrator.kubelet.usage import read_usage

log = logging.getLogger(__name__)

CONCURRENT_STARTS = 4  # more only adds latency
CONCURRENT_REMOVALS = 2  # removals wait for nobody: leave the disk to starts
OVERLAP = 1.0  # seconds of events heard again: what happens between the look at all containers and the first of them
RECONNECT_DELAYS = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds; the last one repeats
STATES = {"created": "created", "running": "running", "paused": "running", "restarting": "running"}


class DockerRuntime:
    name = "docker"

    def __init__(self, engine: Engine, pool: SandboxPool, *, instance: str) -> None:
        self._engine, self._pool, self._instance = engine, pool, instance
        self._images = DockerImages(engine)
        self._slots = StartSlots(CONCURRENT_STARTS)
        self._removals = asyncio.Semaphore(CONCURRENT_REMOVALS)
        self._hostnames = Hostnames()

    async def start(self) -> None:
        await self._pool.start(self._slots)

    async def close(self) -> None:
        await self._pool.close()
        await self._engine.close()

    async def facts(self) -> NodeFacts:
        return read_node_facts(await self._engine.call("GET", "/info"))

    # sandboxes

    async def claim_sandbox(
        self, pod: PodRef, *, host_network: bool = False, sysctls: Sequence[tuple[str, str]] = ()
    ) -> Sandbox:
        return await self._pool.claim(pod, host_network=host_network, sysctls=sysctls)

    async def sandbox_lives(self, sandbox: Sandbox) -> bool:
        return sandbox.host_network or await self._pool.lives(sandbox.id)

    async def release_sandbox(self, pod: PodRef) -> None:
        async with self._removals:
            await self._pool.release(pod)

    async def claimed_sandboxes(self) -> dict[str, Sandbox]:
        return self._pool.claimed()

    # containers

    async def containers(self) -> list[ContainerStatus]:
        wanted = {"label": [f"{labels.INSTANCE}={self._instance}", labels.CONTAINER]}
        rows = await self._engine.call("GET", "/containers/json", params={"all": True, "filters": wanted})
        found = []
        for row in rows:
            try:
                found.append(await self.inspect(row["Id"]))
            except ContainerGone:
                continue
        return found

    async def inspect(self, container_id: str) -> ContainerStatus:
        return container_status(await self._inspect(container_id))

    async def create_container(self, spec: ContainerSpec) -> str:
        name = container_name(self._instance, spec)
        try:
            with self._slots.preparing():
                made = await self._engine.call(
                    "POST", "/containers/create", params={"name": name}, body=render_container(spec, self._instance)
                )
        except EngineError as exc:
            if exc.status == 404:
                raise ImageMissing(f"image {spec.image_name or spec.image} isn't on this node: {exc}") from exc
            if exc.status == 409 and "already in use" in str(exc):
                return str((await self._engine.call("GET", f"/containers/{name}/json"))["Id"])
            raise
        return str(made["Id"])

    async def start_container(self, container_id: str, *, hostname: str = "") -> None:
        async with self._slots.first():
            with self._hostnames.naming(container_id, hostname) as naming:
                await self._engine.call("POST", f"/containers/{container_id}/start")
        if not naming.done:
            await self._set_hostname(container_id, hostname)

    async def signal_container(self, container_id: str, signal: str) -> None:
        try:
            await self._engine.call("POST", f"/containers/{container_id}/kill", params={"signal": signal})
        except EngineError as exc:
            if exc.status not in (404, 409):
                raise

    async def remove_container(self, container_id: str) -> None:
        async with self._removals:
            try:
                await self._engine.call("DELETE", f"/containers/{container_id}", params={"force": True, "v": True})
            except EngineError as exc:
                if exc.status == 409 and "already in progress" in str(exc):
                    return
                if exc.status != 404:
                    raise

    async def _inspect(self, container_id: str) -> dict[str, Any]:
        try:
            return dict(await self._engine.call("GET", f"/containers/{container_id}/json"))
        except EngineError as exc:
            if exc.status == 404:
                raise ContainerGone(f"container {container_id[:12]} is gone") from exc
            raise

    async def _set_hostname(self, container_id: str, hostname: str) -> None:
        try:
            pid = (await self._inspect(container_id))["State"]["Pid"]
            if pid:
                self._hostnames.name_late(container_id, pid, hostname)
        except (RuntimeFailure, OSError) as exc:
            log.info("a container kept its sandbox's host name: %s", exc)

    # images

    async def image(self, reference: str) -> Image:
        return await self._images.get(reference)

    async def pull(self, reference: str, credentials: Mapping[str, str] | None = None) -> Image:
        return await self._images.pull(reference, credentials)

    async def images(self) -> list[Image]:
        return await self._images.list()

    async def remove_image(self, image_id: str) -> None:
        await self._images.remove(image_id)

    # what happens

    async def events(self) -> AsyncIterator[RuntimeEvent]:
        filters = {
            "type": ["container"],
            "label": [f"{labels.INSTANCE}={self._instance}"],
            "event": ["die", "oom", "start", "destroy"],
        }
        failures = 0
        while True:
            try:
                pending = b""
                await self._engine.call("GET", "/version", deadline=10)
                asked = {"filters": filters, "since": f"{time.time() - OVERLAP:.3f}"}
                yield RuntimeEvent("relist")
                async for chunk in self._engine.stream("GET", "/events", params=asked):
                    failures = 0
                    *lines, pending = (pending + chunk).split(b"\n")
                    for line in filter(None, lines):
                        yield runtime_event(orjson.loads(line))
            except (RuntimeUnavailable, EngineError) as exc:
                log.warning("lost the engine's events, connecting again: %s", exc)
            await asyncio.sleep(RECONNECT_DELAYS[min(failures, len(RECONNECT_DELAYS) - 1)])
            failures += 1

    async def usage(self, container: ContainerStatus) -> Usage | None:
        return read_usage(container.pid) if container.state == "running" and container.pid else None

    async def storage_use(self, container_id: str) -> int:
        try:
            row = await self._engine.call("GET", f"/containers/{container_id}/json", params={"size": True})
        except EngineError as exc:
            if exc.status == 404:
                return 0
            raise
        return int(row.get("SizeRw") or 0) + log_size(row.get("LogPath") or "")

    # streams

    async def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[tuple[int, bytes]]:
        params = {
            "stdout": True,
            "stderr": True,
            "follow": options.follow,
            "timestamps": options.timestamps,
            "tail": "all" if options.tail is None else options.tail,
            "since": None if options.since is None else f"{options.since:.9f}",
        }
        inspected = await self._inspect(container_id)
        raw = self._engine.stream("GET", f"/containers/{container_id}/logs", params=params)
        if inspected["Config"].get("Tty"):
            async for chunk in raw:
                yield 1, chunk
        else:
            async for item in demultiplexed(raw):
                yield item

    async def execute(self, container_id: str, command: tuple[str, ...], deadline: float) -> tuple[int, bytes]:
        stream = await self.open_exec(container_id, ExecRequest(command=command))
        collected = bytearray()
        try:
            async with asyncio.timeout(deadline):
                async for _, data in stream.output():
                    if len(collected) < 10_240:
                        collected += data
                return await stream.exit_code_of_exec(bytes(collected)), bytes(collected)
        except TimeoutError:
            await stream.kill()
            raise
        finally:
            await stream.close()

    async def open_exec(self, container_id: str, request: ExecRequest) -> DockerStream:
        body = {
            "Cmd": list(request.command),
            "AttachStdin": request.stdin,
            "AttachStdout": request.stdout,
            "AttachStderr": request.stderr and not request.tty,
            "Tty": request.tty,
        }
        try:
            made = await self._engine.call("POST", f"/containers/{container_id}/exec", body=body)
        except EngineError as exc:
            if exc.status in (404, 409):
                raise ContainerGone(f"container {container_id[:12]} isn't running: {exc}") from exc
            raise
        started = {"Detach": False, "Tty": request.tty}
        reader, writer = await self._engine.hijack(f"/exec/{made['Id']}/start", body=started)
        return DockerStream(self._engine, f"/exec/{made['Id']}", reader, writer, framed=not request.tty)

    async def attach(self, container_id: str, request: ExecRequest) -> DockerStream:
        inspected = await self._inspect(container_id)
        params = {"stream": True, "stdin": request.stdin, "stdout": request.stdout, "stderr": request.stderr}
        reader, writer = await self._engine.hijack(f"/containers/{container_id}/attach", params=params)
        # An engine attaches to a container that has ended, too, whose streams never end: looked at once they are ours.
        if (await self._inspect(container_id))["State"]["Status"] not in STATES:
            writer.close()
            raise ContainerGone(f"container {container_id[:12]} isn't running; its logs may tell")
        framed = not inspected["Config"].get("Tty")
        return DockerStream(self._engine, f"/containers/{container_id}", reader, writer, framed=framed)

    async def probe(self, action: Mapping[str, Any], address: str, deadline: float) -> ProbeOutcome:
        return await run_probe(action, address, deadline)

    async def dial(self, sandbox: Sandbox, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await self._pool.dial(sandbox, port)


def log_size(path: str) -> int:
    """Bytes of a log and of those rotated away from it; 0 of one that can't be seen from here."""
    folder, name = os.path.split(path)
    try:
        return sum(entry.stat().st_size for entry in os.scandir(folder) if name and entry.name.startswith(name))
    except OSError:
        return 0


def runtime_event(row: Mapping[str, Any]) -> RuntimeEvent:
    attributes = (row.get("Actor") or {}).get("Attributes") or {}
    return RuntimeEvent("changed", (row.get("Actor") or {}).get("ID", ""), attributes.get(labels.POD_UID, ""))


def container_name(instance: str, spec: ContainerSpec) -> str:
    """Unique for an attempt, so that creating it twice finds the first."""
    pod = spec.pod
    return f"{instance}_{spec.name}_{pod.name}_{pod.namespace}_{pod.uid}_{spec.attempt}"


def render_container(spec: ContainerSpec, instance: str) -> dict[str, Any]:
    """The engine's create request."""
    security, resources, sandbox = spec.security, spec.resources, spec.sandbox
    network = "host" if sandbox.host_network else f"container:{sandbox.id}"
    options = [] if not security.no_new_privileges else ["no-new-privileges"]
    if security.seccomp and not security.privileged:
        options.append(f"seccomp={security.seccomp}")
    host: dict[str, Any] = {
        "NetworkMode": network,
        "IpcMode": "host" if spec.host_ipc else network if sandbox.id else "shareable",
        "PidMode": process_namespace(spec),
        "Mounts": [render_mount(mount) for mount in spec.mounts],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        "RestartPolicy": {"Name": "no"},
        "Privileged": security.privileged,
        "ReadonlyRootfs": security.read_only_root,
        "CapAdd": list(security.capabilities_add),
        "CapDrop": list(security.capabilities_drop),
        "SecurityOpt": options,
        "GroupAdd": list(security.groups),
        "OomScoreAdj": security.oom_score_adj,
        "CpuShares": resources.cpu_shares,
        "Memory": resources.memory,
        "MemorySwap": resources.memory,
    }
    if resources.cpu_quota:
        host |= {"CpuPeriod": 100_000, "CpuQuota": resources.cpu_quota}
    if security.proc_unmasked:
        host |= {"MaskedPaths": [], "ReadonlyPaths": []}
    if resources.pids:
        host["PidsLimit"] = resources.pids
    body: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{key}={value}" for key, value in spec.environment.items()],
        "Labels": labels.of_container(spec, instance),
        "HostConfig": host,
        "User": security.user,
        "WorkingDir": spec.working_dir,
        "OpenStdin": spec.stdin,
        "StdinOnce": spec.stdin_once,
        "Tty": spec.tty,
        "Healthcheck": {"Test": ["NONE"]},
    }
    if spec.command is not None:
        body["Entrypoint"] = list(spec.command)
    if spec.args is not None:
        body["Cmd"] = list(spec.args)
    elif spec.command is not None:
        body["Cmd"] = []
    if spec.stop_signal:
        body["StopSignal"] = spec.stop_signal
    return body


def process_namespace(spec: ContainerSpec) -> str:
    if spec.host_pid:
        return "host"
    target = spec.process_target or (spec.sandbox.id if spec.share_processes else "")
    return f"container:{target}" if target else ""


def render_mount(mount: Any) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "Type": "bind",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
    }
    if mount.propagation:
        rendered["BindOptions"] = {"Propagation": mount.propagation}
    return rendered


def container_status(row: Mapping[str, Any]) -> ContainerStatus:
    """The engine's inspect answer as our record."""
    state, marks = row["State"], row["Config"].get("Labels") or {}
    pod = PodRef(marks.get(labels.NAMESPACE, ""), marks.get(labels.POD, ""), marks.get(labels.POD_UID, ""))
    status = STATES.get(state["Status"], "exited")
    if state["Status"] == "created" and state.get("Error"):
        status = "exited"
    return ContainerStatus(
        id=row["Id"],
        pod=pod,
        name=marks.get(labels.CONTAINER, ""),
        attempt=int(marks.get(labels.ATTEMPT) or 0),
        state=status,  # type: ignore[arg-type]
        sandbox_id=marks.get(labels.SANDBOX, ""),
        image=marks.get(labels.IMAGE, row["Config"].get("Image", "")),
        image_id=marks.get(labels.IMAGE_ID, row.get("Image", "")),
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        created_at=epoch(row.get("Created", "")),
        started_at=epoch(state.get("StartedAt", "")),
        finished_at=epoch(state.get("FinishedAt", "")) if status == "exited" else 0,
        pid=int(state.get("Pid") or 0),
        stop_signal=row["Config"].get("StopSignal") or "SIGTERM",
    )


def epoch(text: str) -> float:
    """Seconds since the epoch of an engine's time stamp; 0 of its zero time."""
    if not text or text.startswith("0001"):
        return 0.0
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(seconds + "+00:00").timestamp()
    return whole + float(f"0.{fraction}" if fraction.isdigit() else 0)
