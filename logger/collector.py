"""Follows every process of every app, and goes on where it was when either side was away.

What was read is known by the times of lines. A stream that is opened again begins at the second of the newest line
that is kept; those that are known already are passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable

from logger.errors import Refused
from logger.inbox import Inbox
from logger.kubernetes import FINISHED, STARTED, Kubernetes, Pod
from logger.lines import STAMP, compose, normal_stamp
from logger.store import AppLog, Position

log = logging.getLogger(__name__)

PAUSE = 1.0  # seconds before a stream or the watch is opened again
FIRST_LINES = 10_000  # of a container that was never read
UNDER_WAY = 30  # streams that are being opened at a time
RECENT = 2048  # lines of a container that are known again
PLATFORM = b"deis[platform]"


def end_of_second(stamp: bytes | None) -> bytes | None:
    """A time that was given in whole seconds, as late as it can be: what ended had its last words before."""
    return stamp.replace(b".000000000Z", b".999999999Z") if stamp else None


class Collector:
    def __init__(self, api: Kubernetes, inbox: Inbox, logs: Callable[[str], AppLog]) -> None:
        self._api, self._inbox, self._logs = api, inbox, logs
        self._pods: dict[str, Pod] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._opening = asyncio.Semaphore(UNDER_WAY)
        self.synced = False

    async def run(self) -> None:
        try:
            while True:
                try:
                    await self._list_and_watch()
                except (OSError, TimeoutError, Refused, ValueError, KeyError) as exc:
                    log.info("the pods can't be watched: %s", exc)
                await asyncio.sleep(PAUSE)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _list_and_watch(self) -> None:
        pods, version = await self._api.pods()
        for key in self._pods.keys() - {pod.key for pod in pods}:
            self._gone(key)
        for pod in pods:
            self._seen(pod)
        self.synced = True
        async for event, pod in self._api.changes(version):
            if event == "DELETED":
                self._gone(pod.key)
            else:
                self._seen(pod)

    def _seen(self, pod: Pod) -> None:
        before = self._pods.get(pod.key)
        self._pods[pod.key] = pod
        self._tell_ending(pod, before)
        if pod.phase not in STARTED:
            return
        if pod.key in self._changed:
            self._changed[pod.key].set()
        elif before is None or before.phase not in STARTED or pod.key not in self._tasks:
            self._changed[pod.key] = asyncio.Event()
            self._tasks[pod.key] = asyncio.create_task(self._follow(pod.key), name=f"follow {pod.key}")

    def _gone(self, key: str) -> None:
        """The stream that still runs ends by itself, with the container's last lines."""
        self._pods.pop(key, None)
        if event := self._changed.get(key):
            event.set()
        task = self._tasks.get(key)
        if task is not None and task.done():
            self._tasks.pop(key)
            self._changed.pop(key, None)

    def _tell_ending(self, pod: Pod, before: Pod | None) -> None:
        """That a process ended, once for each time."""
        if pod.ending is None or pod.leaving or before is not None and before.ending == pod.ending:
            return
        moment, code, reason = pod.ending
        stamp = end_of_second(normal_stamp(moment.encode()))
        known = self._logs(pod.namespace).positions.get(PLATFORM)
        if stamp is None or (before is None and known is not None and stamp <= known.stamp):
            return
        more = f" ({reason})" if reason not in ("", "Completed", "Error") else ""
        process = pod.source[pod.source.find(b"[") + 1 : -1].decode()
        text = f"{process} exited with status {code}{more}".encode()
        self._inbox.add(pod.namespace, [compose(stamp, PLATFORM, text)], {PLATFORM: Position(stamp)})

    async def _follow(self, key: str) -> None:
        """All attempts of one pod's container, until the pod is gone or done."""
        pod = self._pods[key]
        position = self._logs(pod.namespace).positions.get(pod.source)
        reading, restarts = Reading(pod, position, self._inbox), pod.restarts
        while True:
            pod, changed = self._pods.get(key, pod), self._changed[key]
            changed.clear()
            if pod.restarts > restarts:
                restarts = pod.restarts
                await self._read(reading, previous="true")
            done = pod.phase in FINISHED
            ended = await self._read(reading, follow="true")
            if key not in self._pods or (done and ended):
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE if not ended else PAUSE * 30):
                    await changed.wait()
            await asyncio.sleep(0.1)
        self._changed.pop(key, None)
        if key not in self._pods:
            self._tasks.pop(key, None)

    async def _read(self, reading: Reading, **options: str) -> bool:
        """One stream to its end; False when it broke off."""
        try:
            await self._opening.acquire()
            opening = True
            try:
                async with self._api.log(reading.pod, **reading.begin(), **options) as answer:
                    self._opening.release()
                    opening = False
                    if answer.status != 200:
                        await answer.body()
                        return answer.status in (400, 404)
                    async for piece in answer.pieces():
                        reading.take(piece)
                    reading.finish()
                    return True
            finally:
                if opening:
                    self._opening.release()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as exc:
            log.info("the log of %s broke off: %s", reading.pod.key, exc)
            return False


class Reading:
    """The lines of one container, as far as they are known."""

    def __init__(self, pod: Pod, position: Position | None, inbox: Inbox) -> None:
        self.pod = pod
        self._app, self._source, self._inbox = pod.namespace, pod.source, inbox
        self._position = Position(position.stamp, position.count) if position else None
        self._rest = b""
        self._skip: Position | None = None  # what is passed over of a stream that begins before the position
        self._equal = 0
        self._recent: deque[int] = deque(maxlen=RECENT)

    def begin(self) -> dict[str, str]:
        """The options that make a stream begin where the last one ended."""
        self._rest, self._skip, self._equal = b"", None, 0
        if self._position is None:
            return {"tailLines": str(FIRST_LINES)}
        self._skip = Position(self._position.stamp, self._position.count)
        return {"sinceTime": f"{self._position.stamp[:19].decode()}Z"}

    def take(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if lines:
            self._take_lines(lines)
        elif len(self._rest) > 1024 * 1024:  # no line: what follows is cut off its end
            self._rest = self._rest[: 512 * 1024]

    def finish(self) -> None:
        if self._rest:
            self._take_lines([self._rest])
        self._rest = b""

    def _take_lines(self, lines: list[bytes]) -> None:
        if self._skip is not None:
            lines = self._unknown(lines)
        if not lines:
            return
        taken = self._inbox.allowance(self._app, len(lines))
        composed, stamp = [], b""
        for raw in lines[:taken]:
            parsed = self._parsed(raw)
            if parsed is not None:
                stamp, text = parsed
                if self._position and stamp <= self._position.stamp and hash(raw) in self._recent:
                    continue  # engines repeat lines when they begin a new file for a container
                self._recent.append(hash(raw))
                composed.append(compose(stamp, self._source, text))
                self._advance(stamp)
        if taken < len(lines) and (parsed := self._parsed(lines[-1])) is not None:
            self._advance(parsed[0])
        if self._position is not None:
            position = Position(self._position.stamp, self._position.count)
            self._inbox.add(self._app, composed, {self._source: position})

    def _parsed(self, raw: bytes) -> tuple[bytes, bytes] | None:
        stamp, _, text = raw.partition(b" ")
        if len(stamp) != STAMP:
            normal = normal_stamp(stamp)
            if normal is None:
                return None
            stamp = normal
        return stamp, text.rstrip(b"\r") if text.endswith(b"\r") else text

    def _advance(self, stamp: bytes) -> None:
        known = self._position
        if known is None or stamp > known.stamp:
            self._position = Position(stamp)
        elif stamp == known.stamp:
            known.count += 1

    def _unknown(self, lines: list[bytes]) -> list[bytes]:
        """Without those that were kept before: from the first later line on everything is new."""
        assert self._skip is not None
        for index, raw in enumerate(lines):
            parsed = self._parsed(raw)
            if parsed is None or parsed[0] < self._skip.stamp:
                continue
            if parsed[0] == self._skip.stamp:
                self._equal += 1
                if self._equal <= self._skip.count:
                    continue
            self._skip = None
            return lines[index:]
        return []
