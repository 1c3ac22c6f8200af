"""The probes of a running container: when to check, what a result means.

As Kubernetes does, with one addition: until a readiness or startup probe first succeeds it is also tried between its
periods, so that a pod is ready as soon as it listens. Such extra tries never count as failures.

A check that couldn't be made (no such command in the image, no such port name, an engine that is away, a container
that ended under it) is neither success nor failure.
Source: kubernetes pkg/probe/exec/exec.go, pkg/kubelet/prober/prober.go and worker.go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.kubelet.runtime import (
    CommandNotStarted,
    ContainerGone,
    ContainerStatus,
    ProbeOutcome,
    Runtime,
    RuntimeFailure,
)

log = logging.getLogger(__name__)

Kind = Literal["startup", "liveness", "readiness"]
FIELDS: dict[Kind, str] = {"startup": "startupProbe", "liveness": "livenessProbe", "readiness": "readinessProbe"}

EAGER_DELAY, EAGER_GROWTH, EAGER_LONGEST = 0.1, 1.2, 1.0  # seconds between extra tries, growing
KILLED = 137  # how a command ends that is killed, as those are that run in a container when it ends
SETTLING = 1.0  # seconds after which the engine knows of a container's end, when it knows of its commands'
FIRST_COUNT = 1.0  # seconds a container gets before the first failure of an eager probe counts


@dataclass(slots=True)
class Cadence:
    """The numbers of a probe with Kubernetes' defaults."""

    initial_delay: float
    period: float
    timeout: float
    failures: int
    successes: int

    @classmethod
    def of(cls, probe: Mapping[str, Any]) -> Cadence:
        return cls(
            initial_delay=float(probe.get("initialDelaySeconds") or 0),
            period=float(probe.get("periodSeconds") or 10),
            timeout=float(probe.get("timeoutSeconds") or 1),
            failures=int(probe.get("failureThreshold") or 3),
            successes=int(probe.get("successThreshold") or 1),
        )


@dataclass(slots=True)
class Verdict:
    """What a run of results amounts to; `state` is None until a threshold is first reached."""

    cadence: Cadence
    state: bool | None = None
    _good: int = 0
    _bad: int = 0

    def take(self, ok: bool, *, counts: bool) -> bool | None:
        """The new state when this result changed it, else None."""
        if ok:
            self._bad, self._good = 0, self._good + (1 if counts or self.cadence.successes == 1 else 0)
            if self._good >= self.cadence.successes and self.state is not True:
                self.state = True
                return True
        else:
            self._good = 0
            self._bad += 1 if counts else 0
            if self._bad >= self.cadence.failures and self.state is not False:
                self.state = False
                return False
        return None


def resolved_action(probe: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, Any]:
    """The probe with its port as a number. Raises: ValueError, when the container has no port of that name."""
    action = dict(probe)
    for kind in ("httpGet", "tcpSocket", "grpc"):
        if kind in action:
            action[kind] = {**action[kind], "port": port_number(action[kind]["port"], container)}
    return action


def port_number(port: int | str, container: Mapping[str, Any]) -> int:
    if isinstance(port, int):
        return port
    for entry in container.get("ports") or ():
        if entry.get("name") == port:
            return int(entry["containerPort"])
    if port.isdigit():
        return int(port)
    raise ValueError(f"container {container['name']} has no port named {port}")


Report = Callable[[Kind, bool], None]
"""(kind, state): a probe changed its mind."""
Complain = Callable[[str], None]
"""A sentence for an Unhealthy event."""


class ContainerProbes:
    """Runs the probes of one attempt of one container until stopped."""

    def __init__(
        self,
        runtime: Runtime,
        container: Mapping[str, Any],
        status: ContainerStatus,
        address: str,
        *,
        report: Report,
        complain: Complain,
        known_started: bool = False,
    ) -> None:
        self._runtime, self._container, self._status, self._address = runtime, container, status, address
        self._report, self._complain = report, complain
        self._known_started = known_started
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def container_id(self) -> str:
        return self._status.id

    def start(self) -> None:
        if self._container.get("startupProbe") and not self._known_started:
            self._spawn("startup")
        else:
            self._start_others()

    def stop(self, *, keep_readiness: bool = False) -> None:
        for task in self._tasks:
            if not (keep_readiness and task.get_name().startswith("readiness")):
                task.cancel()

    def _start_others(self) -> None:
        for kind in ("liveness", "readiness"):
            if self._container.get(FIELDS[kind]):
                self._spawn(kind)

    def _spawn(self, kind: Kind) -> None:
        name = f"{kind} probe of {self._status.pod}/{self._status.name}"
        self._tasks.append(asyncio.create_task(self._run(kind), name=name))

    async def _run(self, kind: Kind) -> None:
        probe = self._container[FIELDS[kind]]
        cadence = Cadence.of(probe)
        verdict = Verdict(cadence)
        begun = self._status.started_at + cadence.initial_delay
        await asyncio.sleep(max(begun - time.time(), 0))
        loop = asyncio.get_running_loop()
        eager = kind != "liveness" and "exec" not in probe
        next_count = loop.time() + (min(FIRST_COUNT, cadence.period) if eager else 0)
        pause = EAGER_DELAY
        while True:
            outcome = await self._check(probe, cadence.timeout)
            counts = loop.time() >= next_count
            if counts:
                next_count += cadence.period * max(1, int((loop.time() - next_count) // cadence.period) + 1)
                if outcome.message:
                    how = "failed" if outcome.ok is False else "errored and resulted in unknown state"
                    self._complain(f"{kind.capitalize()} probe {how}: {outcome.message}")
            changed = None if outcome.ok is None else verdict.take(outcome.ok, counts=counts)
            if changed is not None:
                self._report(kind, changed)
                if kind == "startup" and changed:
                    self._start_others()
                if kind == "startup" or (kind == "liveness" and not changed):
                    return
            wait = max(next_count - loop.time(), 0)
            if eager and verdict.state is not True:
                wait, pause = min(wait, pause), min(pause * EAGER_GROWTH, EAGER_LONGEST)
            await asyncio.sleep(wait)

    async def _check(self, probe: Mapping[str, Any], deadline: float) -> ProbeOutcome:
        """Without a message when it succeeded, and when the engine is away: that is for no pod's events."""
        try:
            if "exec" in probe:
                return await self._execute(tuple(probe["exec"].get("command") or ()), deadline)
            return await self._runtime.probe(resolved_action(probe, self._container), self._address, deadline)
        except (CommandNotStarted, ValueError) as exc:
            return ProbeOutcome(None, str(exc))
        except RuntimeFailure as exc:
            log.info("a probe of %s/%s could not be run: %s", self._status.pod, self._status.name, exc)
            return ProbeOutcome(None)

    async def _execute(self, command: tuple[str, ...], deadline: float) -> ProbeOutcome:
        try:
            code, output = await self._runtime.execute(self._status.id, command, deadline)
        except TimeoutError:
            return ProbeOutcome(False, f"command timed out: {list(command)!r} timed out after {deadline:g}s")
        if code == 0:
            return ProbeOutcome(True)
        if code == KILLED and await self._ended():
            return ProbeOutcome(None)
        return ProbeOutcome(False, output.decode(errors="replace").strip()[:1024] or f"command exited with {code}")

    async def _ended(self) -> bool:
        """Whether the container is over, or is within a moment."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SETTLING
        while True:
            try:
                if (await self._runtime.inspect(self._status.id)).state != "running":
                    return True
            except ContainerGone:
                return True
            if loop.time() >= until:
                return False
            await asyncio.sleep(EAGER_DELAY)
