"""A build's pod, followed from outside: when it runs, what it says, and how it ended."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from builder.errors import BuildFailed, ClusterError
from builder.jobs.api import KubeApi, Obj
from builder.progress import Progress, human
from builder.settings import BuildLimits

RETRY = 0.5  # seconds before a stream that ended is opened again
LOOK = 1.0  # seconds between looks at a pod that waits
TELL_AFTER = 5.0  # seconds without a node after which the pusher hears why
LINE_MAX = 1 << 16  # a line longer than this is passed on in pieces
HOPELESS = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")
PULLING = ("ErrImagePull", "ImagePullBackOff")
PULL_PATIENCE = 60.0  # seconds a pull may fail: a kubelet that wasn't shown the pull secret yet tries it again


class Phase(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True)
class Sight:
    """What a pod's status says."""

    phase: Phase = Phase.WAITING
    reason: str = ""
    text: str = ""
    code: int = 0


def observe(pod: Mapping[str, Any], container: str = "build") -> Sight:
    """How it is with one container of the pod. Pure.

    A pod that Kubernetes will never start has ended, whatever it hopes.
    """
    status = pod.get("status") or {}
    if status.get("reason"):  # Evicted, DeadlineExceeded, NodeLost …: the whole pod's fate
        return Sight(Phase.ENDED, status["reason"], status.get("message", ""), 1)
    entries = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    states = [(each.get("state") or {}) for each in entries if each.get("name", container) == container]
    for state in states:
        if ended := state.get("terminated"):
            return Sight(Phase.ENDED, ended.get("reason", ""), ended.get("message", ""), int(ended.get("exitCode", 1)))
        if "running" in state:
            return Sight(Phase.RUNNING)
        waiting = state.get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            return Sight(Phase.ENDED, waiting["reason"], waiting.get("message", ""), 1)
        if waiting.get("reason") in PULLING:
            return Sight(Phase.WAITING, waiting["reason"], waiting.get("message", ""))
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return Sight(Phase.WAITING, condition.get("reason", ""), condition.get("message", ""))
    return Sight()


def explain(sight: Sight, limits: BuildLimits) -> BuildFailed:
    """Why a pod ended before its build did, as the pusher reads it."""
    text = " ".join(sight.text.split())[:300]
    if sight.reason == "OOMKilled":
        return BuildFailed(f"The build was killed: out of memory at {human(limits.memory)} (BUILD_MEMORY).")
    if sight.reason == "Evicted" and ("sage of EmptyDir" in text or "ephemeral" in text and "exceed" in text):
        return BuildFailed(f"The build was stopped: its files take more than {human(limits.disk_bytes)} of disk.")
    if sight.reason == "DeadlineExceeded":
        return BuildFailed(f"The build was stopped: not done after {limits.timeout:.0f} s (BUILD_TIMEOUT).")
    if sight.reason in (*HOPELESS, *PULLING):
        return BuildFailed(f"The cluster can't start a build ({sight.reason}): {text} The operator looks at its image.")
    return BuildFailed(f"The build was lost: its pod ended ({sight.reason or 'no reason told'}). {text} Push again.")


class TooSlow(BuildFailed):
    """A build's time is up."""


@asynccontextmanager
async def limited(seconds: float) -> AsyncIterator[None]:
    """Raises: TooSlow when what is inside takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as exc:
        raise TooSlow(f"The build was stopped: not done after {seconds:.0f} s (BUILD_TIMEOUT).") from exc


class Pod:
    """The one pod of a Job. `follow` keeps `sight` current; it runs as long as anybody waits for it."""

    def __init__(self, api: KubeApi, namespace: str, selector: str) -> None:
        self._api, self._path, self._selector = api, f"/api/v1/namespaces/{namespace}/pods", selector
        self.name, self.sight, self.container = "", Sight(), "build"
        self._last: Obj = {}
        self._pull_fails = 0.0  # since when
        self._changed = asyncio.Condition()

    @property
    def exec_path(self) -> str:
        return f"{self._path}/{self.name}/exec"

    async def follow(self) -> None:
        while True:
            try:
                async for event in self._api.watch(self._path, labelSelector=self._selector):
                    await self._take(event)
            except ClusterError:
                pass  # it comes back, or the build's time is up
            await asyncio.sleep(RETRY)

    async def _take(self, event: Obj) -> None:
        if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
            return
        self._last, sight = event["object"], observe(event["object"], self.container)
        if event["type"] == "DELETED" and sight.phase is not Phase.ENDED:
            sight = Sight(Phase.ENDED, "Deleted", "Somebody removed it.", 1)
        if sight.reason not in PULLING:
            self._pull_fails = 0.0
        elif not self._pull_fails:
            self._pull_fails = time.monotonic()
        async with self._changed:
            self.name, self.sight = event["object"]["metadata"]["name"], sight
            self._changed.notify_all()

    async def attend(self, container: str) -> None:
        """From now on, what is seen and heard is of this container of the pod."""
        async with self._changed:
            self.container, self.sight = container, observe(self._last, container)
            self._changed.notify_all()

    async def until(self, wanted: Callable[[Sight], bool]) -> Sight:
        async with self._changed:
            await self._changed.wait_for(lambda: wanted(self.sight))
            return self.sight

    async def started(self, seconds: float, limits: BuildLimits, progress: Progress) -> None:
        """Wait until the container runs. Raises: BuildFailed when the cluster can't start it."""
        try:
            async with asyncio.timeout(seconds):
                try:
                    async with asyncio.timeout(TELL_AFTER):
                        sight = await self._begun()
                except TimeoutError:
                    progress.detail(f"Waiting for a node to build on. {self.sight.text}".rstrip())
                    sight = await self._begun()
        except TimeoutError as exc:
            raise BuildFailed(
                f"No node of the cluster took the build within {seconds:.0f} s. {self.sight.text} Push again later."
            ) from exc
        if sight.phase is Phase.ENDED:
            raise explain(sight, limits)

    async def _begun(self) -> Sight:
        """What comes after waiting; a pull that fails for PULL_PATIENCE is given up."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    return await self.until(lambda now: now.phase is not Phase.WAITING)
            if self._pull_fails and time.monotonic() - self._pull_fails > PULL_PATIENCE:
                return replace(self.sight, phase=Phase.ENDED, code=1)

    async def output(self, mark: str, tell: Callable[[bytes], None], progress: Progress) -> int | None:
        """Give `tell` the build's lines until it says that it has ended; its exit code, or None when the pod has.

        A log that breaks off is read on from where it was: every line has its time.
        """
        seen = ""
        while True:
            ended, before = self.sight.phase is Phase.ENDED, seen
            try:
                async for stamp, line in self._log(before):
                    if stamp and stamp <= before:
                        continue
                    seen = stamp or seen
                    text, found, told = line.partition(mark.encode())
                    if text or not found:
                        tell(text + b"\n")
                    if found:
                        return int(told.strip() or 1)
                    await progress.drained()
            except ClusterError as exc:
                if exc.status == 404:
                    return None
            if ended:
                return None  # the log was read once more after the end
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY):
                    await self.until(lambda now: now.phase is Phase.ENDED)

    async def _log(self, since: str) -> AsyncIterator[tuple[str, bytes]]:
        """(time, line) from `since` on; of a very long line the later pieces have no time."""
        params = {"container": self.container, "follow": "true", "timestamps": "true"}
        if since:
            params["sinceTime"] = re.sub(r"\.\d+", "", since)
        pending, within = b"", False
        async for chunk in self._api.stream(f"{self._path}/{self.name}/log", **params):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                yield split(line, within)
                within = False
            if len(pending) > LINE_MAX:
                yield split(pending, within)
                pending, within = b"", True
        if pending:
            yield split(pending, within)


def split(line: bytes, within: bool) -> tuple[str, bytes]:
    if within:
        return "", line
    stamp, _, text = line.partition(b" ")
    return stamp.decode(errors="replace"), text
