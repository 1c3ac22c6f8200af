"""How slowly a client may send: silence has an end, and so has a trickle that would hold its place for ever."""

from __future__ import annotations

import time

SILENCE = 60.0  # seconds a client may send nothing
SLOWEST = 1024  # bytes a second on average, once GRACE is over
GRACE = 60.0  # seconds
STALL = 300.0  # seconds a client may leave unread what it is sent


class Pace:
    """Counts what came since it was made."""

    def __init__(self) -> None:
        self._began, self._bytes = time.monotonic(), 0

    def keeps_up(self, size: int) -> bool:
        """Whether `size` bytes more are enough for the time that it took."""
        self._bytes += size
        return self._bytes >= (time.monotonic() - self._began - GRACE) * SLOWEST
