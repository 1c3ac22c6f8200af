"""A Dockerfile build by the engine's BuildKit: secrets and cache mounts, heredocs, stages side by side.

BuildKit takes no caps. What its RUN steps start is found by a mark in NO_PROXY, which reaches every step, stays out
of the image and of the cache's keys, and is put under the caps through its cgroup (`Caps`); step_fence.py keeps its
traffic within bounds.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.buildkit_session import Session, fields
from builder.disk import USAGE_LOOK, disk_usage, too_much
from builder.engine import Engine
from builder.errors import BuildFailed
from builder.settings import BuildLimits

TRACE = "moby.buildkit.trace"
POLL = 0.1  # seconds between looks for new processes
BECOMING = 10.0  # seconds in which a new process may become a step: it is runc's own first, without the mark
UPPER = re.compile(r"^overlay / .*?\bupperdir=([^,\s]+)", re.MULTILINE)  # of a /proc/PID/mounts
OURS = re.compile(r"--mount=type=secret,id=\.paas-\S+\s*|,id=[a-z0-9-]+:\S+")  # what we added to a step


@dataclass
class Trace:
    """Lines to show, from BuildKit's status messages. Source: moby/buildkit api/services/control/control.proto."""

    names: dict[bytes, str] = field(default_factory=dict)
    told: set[bytes] = field(default_factory=set)
    rest: dict[bytes, bytes] = field(default_factory=dict)
    last_step: str = "its first step"

    def lines(self, message: bytes) -> list[str]:
        found: list[str] = []
        for number, value in fields(message):
            if isinstance(value, bytes) and number == 1:
                found += self._vertex(dict_of(value))
            elif isinstance(value, bytes) and number == 3:
                found += self._log(dict_of(value))
        return found

    def _vertex(self, vertex: Mapping[int, Any]) -> list[str]:
        digest, name = vertex.get(1, b""), vertex.get(3, b"").decode(errors="replace")
        self.names[digest] = name = " ".join(OURS.sub("", name).split())
        if (
            digest in self.told
            or not (vertex.get(5) or vertex.get(4))
            or name.startswith(("[internal]", "copy /context"))
        ):
            return []
        self.told.add(digest)
        if not vertex.get(4):
            self.last_step = re.sub(r"^\[[^]]*\]\s*", "", name)
        return [f"{name}{' (cached)' if vertex.get(4) else ''}"]

    def _log(self, entry: Mapping[int, Any]) -> list[str]:
        digest = entry.get(1, b"")
        *lines, self.rest[digest] = (self.rest.get(digest, b"") + entry.get(4, b"")).split(b"\n")
        return ["  " + line.decode(errors="replace").rstrip("\r") for line in lines]


def dict_of(message: bytes) -> dict[int, Any]:
    return dict(fields(message))


class Caps:
    """Puts the processes that carry `mark` in their environment under the build's limits."""

    def __init__(
        self, mark: str, limits: BuildLimits, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")
    ):
        self._mark, self._limits, self._proc, self._cgroups = mark.encode(), limits, proc, cgroups
        self._there: dict[str, float] = {}  # process → when it was first seen
        self._done: set[str] = set()
        self._capped: set[str] = set()
        self._layers: set[Path] = set()  # where the steps' containers write

    async def run(self) -> None:
        """For ever. Raises: BuildFailed when a step has written more than the build may."""
        loop = asyncio.get_running_loop()
        looked = loop.time()
        while True:
            await asyncio.to_thread(self.look)
            if loop.time() - looked > USAGE_LOOK:
                await asyncio.to_thread(self.measure)
                looked = loop.time()
            await asyncio.sleep(POLL)

    def measure(self) -> None:
        """Raises: BuildFailed."""
        limit, used = self._limits.disk_bytes, 0
        for layer in self._layers:
            used += disk_usage(layer, limit)
        if used > limit:
            raise BuildFailed(too_much(limit))

    def look(self) -> None:
        """One turn: every new process, until it is under the limits or clearly nothing of this build's."""
        there = {entry.name for entry in self._proc.iterdir() if entry.name.isdigit()}
        now = time.monotonic()
        new = now if self._there else now - BECOMING  # what is older than this build won't become one of its steps
        self._there = {number: self._there.get(number, new) for number in there}
        self._done &= there
        for number in there - self._done:
            try:
                if self._mark in (self._proc / number / "environ").read_bytes():
                    self._cap((self._proc / number / "cgroup").read_text())
                    if found := UPPER.search((self._proc / number / "mounts").read_text()):
                        self._layers.add(Path(found[1]))
                elif now - self._there[number] < BECOMING:
                    continue
            except OSError:
                continue  # it ended meanwhile, or has more memory already than it may get: looked at again
            self._done.add(number)

    def _cap(self, text: str) -> None:
        """Write the limits into the groups of a `/proc/PID/cgroup`."""
        for line in text.splitlines():
            _, kinds, path = line.split(":", 2)
            if line in self._capped or "buildkit" not in path:
                continue
            for kind in kinds.split(",") if kinds else [""]:
                folder = self._cgroups / kind / path.lstrip("/")
                for name, value in self._values(kind):
                    if (folder / name).exists():
                        (folder / name).write_text(value)
            self._capped.add(line)

    def _values(self, kind: str) -> list[tuple[str, str]]:
        limits = self._limits
        quota = int(limits.cpus * 100_000)
        return {
            "": [
                ("memory.swap.max", "0"),
                ("memory.max", str(limits.memory)),
                ("cpu.max", f"{quota} 100000"),
                ("pids.max", str(limits.pids)),
            ],
            "memory": [
                ("memory.limit_in_bytes", str(limits.memory)),
                ("memory.memsw.limit_in_bytes", str(limits.memory)),
            ],
            "cpu": [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", str(quota))],
            "pids": [("pids.max", str(limits.pids))],
        }.get(kind, [])


async def build(
    engine: Engine,
    params: Mapping[str, Any],
    context: Any,
    values: Mapping[str, bytes],
    trace: Trace,
    mark: str,
) -> AsyncGenerator[str]:
    """Lines as they come, until the image has its name; `mark` is in the environment of each step.

    Raises: EngineError with BuildKit's own words.
    """
    name_of_build = f"build-{mark}.invalid"
    arguments = dict(params.get("buildargs") or {})
    for name in ("NO_PROXY", "no_proxy"):
        arguments[name] = ",".join(filter(None, (arguments.get(name, ""), name_of_build)))
    async with Session(engine, values) as session:
        query = {**params, "buildargs": arguments, "version": 2, "session": session.id}
        query.pop("networkmode", None)  # it knows none but the engine's default, host and none
        headers = {"Content-Type": "application/x-tar"}
        async for item in engine.progress("POST", "/build", params=query, data=context, headers=headers):
            if item.get("id") == TRACE:
                for line in trace.lines(base64.b64decode(item["aux"])):
                    yield line
