"""Turns at the engine: so many at a time, app containers before sandboxes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager


class StartSlots:
    """`first()` goes before every `second()` that is still waiting; each class in order."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._first = 0  # of the first class: prepared, waiting or having their turn
        self._last_end = float("-inf")
        self._waiting: tuple[deque[asyncio.Future[None]], deque[asyncio.Future[None]]] = (deque(), deque())

    def rests(self, now: float) -> float:
        """Seconds since the last work of the first class; 0 while there is some."""
        return 0.0 if self._first else now - self._last_end

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Around work of the first class that needs no turn, such as what comes before a start."""
        self._first += 1
        try:
            yield
        finally:
            self._first -= 1
            self._last_end = asyncio.get_running_loop().time()

    @asynccontextmanager
    async def first(self) -> AsyncIterator[None]:
        with self.preparing():
            async with self._slot(0):
                yield

    def second(self) -> AbstractAsyncContextManager[None]:
        return self._slot(1)

    @asynccontextmanager
    async def _slot(self, rank: int) -> AsyncIterator[None]:
        await self._acquire(self._waiting[rank])
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, queue: deque[asyncio.Future[None]]) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()  # the turn came together with the cancellation: pass it on
            raise

    def _release(self) -> None:
        for queue in self._waiting:
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1
