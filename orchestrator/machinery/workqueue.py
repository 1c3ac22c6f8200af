"""Keys waiting for work, each at most once, and never two workers on one key.

Guarantees: a key added while it waits is not added again; a key added while it is worked on waits until that is done,
then comes back; retries of a key wait 5 ms, doubling, at most `MAX_BACKOFF`. Source: client-go util/workqueue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from orchestrator.machinery.clock import Clock, Timer

K = TypeVar("K", bound=Hashable)

BASE_BACKOFF = 0.005  # seconds before the first retry
MAX_BACKOFF = 60.0  # seconds; the queue is local and retries are cheap, so far below client-go's 1000 s


def retry_delay(failures: int) -> float:
    """Seconds before retry number `failures` (>= 1): 0.005 doubling, at most 60."""
    if failures < 1:
        raise ValueError(f"failures counts from 1, not {failures}")
    return min(BASE_BACKOFF * 2.0 ** min(failures - 1, 30), MAX_BACKOFF)


class WorkQueue(Generic[K]):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, tuple[float, Timer]] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def is_idle(self) -> bool:
        """Nothing waits and nothing is worked on (delayed keys aside)."""
        return not self._ready and not self._processing

    def add(self, key: K) -> None:
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._push(key)

    def add_after(self, key: K, delay: float) -> None:
        """Add `key` after `delay` seconds; of several delays of one key the soonest counts."""
        if delay <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + delay
        waiting = self._timers.get(key)
        if waiting is not None:
            if waiting[0] <= due:
                return
            waiting[1].cancel()
        self._timers[key] = (due, self._clock.call_later(delay, lambda: self._fire(key)))

    def retry(self, key: K) -> float:
        """Add `key` after its back-off, which grows with each retry until `forget`; returns the delay."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = retry_delay(failures)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The work on `key` succeeded: its next failure starts from the shortest back-off."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key; call `done` with it afterwards."""
        while not self._ready:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._abandon(waiter)
                raise
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._processing.add(key)
        return key

    def done(self, key: K) -> None:
        self._processing.discard(key)
        if key in self._dirty:
            self._push(key)

    def close(self) -> None:
        """Drop the delayed keys, so that no timer outlives its queue."""
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _fire(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _push(self, key: K) -> None:
        self._ready.append(key)
        self._wake_one()

    def _wake_one(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _abandon(self, waiter: asyncio.Future[None]) -> None:
        if waiter.done() and not waiter.cancelled() and self._ready:
            self._wake_one()  # it was woken for a key that it will not take
        elif waiter in self._waiters:
            self._waiters.remove(waiter)
