"""Places to build in: so many builds at once, the others in the order they came, each told where it stands."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from builder.progress import Progress


class BuildSlots:
    def __init__(self, count: int) -> None:
        self._free = count
        self._line: deque[tuple[asyncio.Future[None], Progress]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._line)

    @asynccontextmanager
    async def place(self, progress: Progress) -> AsyncIterator[None]:
        """A place to build in, as soon as it is this build's turn."""
        with progress.phase("queue"):
            await self._acquire(progress)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, progress: Progress) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (turn, progress)
        self._line.append(entry)
        tell(progress, len(self._line))
        try:
            await turn
            progress.ahead = 0
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._release()
            else:
                self._line.remove(entry)
                self._tell_positions()
            raise

    def _release(self) -> None:
        while self._line:
            turn, _ = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                self._tell_positions()
                return
        self._free += 1

    def _tell_positions(self) -> None:
        for position, (_, progress) in enumerate(self._line, 1):
            tell(progress, position)


def tell(progress: Progress, position: int) -> None:
    progress.ahead = position
    progress.step(f"Waiting for {position} build{'s'[: position > 1]} ahead of this one")
