"""Pods waiting for a node: those to try now, by priority; those that failed, until something that can help happens.

A failed pod is parked with what would help it. A helpful event moves it back, not before its back-off has passed
(1 s doubling to 10 s); after `FLUSH` it is tried anyway, as a guard against an event nobody thought of.
Source: kubernetes pkg/scheduler/backend/queue.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.machinery.clock import Clock, Timer
from orchestrator.scheduler.snapshot import PodInfo

FIRST_BACKOFF, MOST_BACKOFF = 1.0, 10.0  # seconds
FLUSH = 300.0  # seconds a parked pod waits at most


@dataclass
class Waiting:
    pod: PodInfo
    attempts: int = 0
    helped_by: frozenset[str] = field(default_factory=frozenset)
    failed_at: float = 0.0
    timer: Timer | None = None
    state: str = "active"
    told: str = ""
    """What was last told to users, and when."""
    told_at: float = 0.0
    untold: str = ""
    """What shall be told as soon as it isn't too soon after that."""

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class SchedulingQueue:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, str]] = []
        self._order = itertools.count()
        self._waiting: dict[str, Waiting] = {}
        self._parked: dict[str, None] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_idle(self) -> bool:
        return not self._heap

    def has(self, uid: str) -> bool:
        return uid in self._waiting

    def add(self, pod: PodInfo) -> None:
        """A new pod, or a new version of one that waits."""
        known = self._waiting.get(pod.uid)
        if known is not None:
            changed = _wish(known.pod) != _wish(pod)
            known.pod = pod
            if changed and known.state == "parked":
                self._activate(known)
            return
        self._waiting[pod.uid] = waiting = Waiting(pod)
        self._push(waiting)

    def remove(self, uid: str) -> None:
        waiting = self._waiting.pop(uid, None)
        self._parked.pop(uid, None)
        if waiting is not None:
            waiting.stop_timer()
            waiting.state = "gone"

    async def get(self) -> Waiting:
        """The most important pod to try; it is in nobody's hands but the caller's until parked or added again."""
        while True:
            while self._heap:
                _, _, uid = heapq.heappop(self._heap)
                waiting = self._waiting.get(uid)
                if waiting is not None and waiting.state == "active":
                    del self._waiting[uid]
                    waiting.state, waiting.attempts = "tried", waiting.attempts + 1
                    return waiting
            self._wake.clear()
            await self._wake.wait()

    def park(self, waiting: Waiting, helped_by: Iterable[str]) -> None:
        """It has no place now; `helped_by` names the events that may change that."""
        waiting.helped_by, waiting.failed_at = frozenset(helped_by), self._clock.monotonic()
        waiting.state = "parked"
        uid = waiting.pod.uid
        self._waiting[uid] = waiting
        self._parked[uid] = None
        waiting.timer = self._clock.call_later(FLUSH, lambda: self._activate(waiting))

    def retry(self, waiting: Waiting) -> None:
        """The binding failed: try again after the back-off."""
        waiting.failed_at = self._clock.monotonic()
        self._waiting[waiting.pod.uid] = waiting
        self._activate(waiting)

    def helpful(self, event: str) -> None:
        """Something happened: move those it may help."""
        for uid in [uid for uid in self._parked if event in self._waiting[uid].helped_by]:
            self._activate(self._waiting[uid])

    def _activate(self, waiting: Waiting) -> None:
        if waiting.state == "gone" or self._waiting.get(waiting.pod.uid) is not waiting:
            return
        waiting.stop_timer()
        self._parked.pop(waiting.pod.uid, None)
        left = waiting.failed_at + backoff(waiting.attempts) - self._clock.monotonic()
        if left > 0:
            waiting.state = "backoff"
            waiting.timer = self._clock.call_later(left, lambda: self._push(waiting))
        else:
            self._push(waiting)

    def _push(self, waiting: Waiting) -> None:
        if waiting.state == "gone":
            return
        waiting.timer, waiting.state = None, "active"
        heapq.heappush(self._heap, (-waiting.pod.priority, next(self._order), waiting.pod.uid))
        self._wake.set()


def backoff(attempts: int) -> float:
    """Seconds before attempt number `attempts` + 1."""
    return min(FIRST_BACKOFF * 2.0 ** max(0, min(attempts, 10) - 1), MOST_BACKOFF)


def _wish(pod: PodInfo) -> tuple[object, ...]:
    return pod.labels, pod.obj["spec"], pod.obj["metadata"].get("annotations")
