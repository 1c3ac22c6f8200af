"""Between those who bring lines and the disk: bounded, per app, written a few times a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from logger.lines import compose, now
from logger.store import AppLog, Position, Retention, pack, unpacked

log = logging.getLogger(__name__)

FLUSH = 0.25  # seconds between writes
TIDY = 60.0  # seconds between looks at what retention removes
MOST_PENDING = 4 * 1024 * 1024  # bytes of one app that wait for the disk; more are dropped and counted
BURST = 2.0  # seconds of the allowed rate that may come at once
OURS = b"deis[logger]"

Listener = Callable[[str, list[bytes]], None]


@dataclass
class Pending:
    """Lines of one app that wait to be written."""

    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    positions: dict[bytes, Position] = field(default_factory=dict)
    dropped: int = 0
    room: float = 0.0  # lines that may still come now
    refilled: float = 0.0
    told: float = 0.0  # when a count of dropped lines was last written


class Inbox:
    def __init__(self, logs: Callable[[str], AppLog], retention: Callable[[str], Retention], rate: int) -> None:
        self._logs, self._retention, self._rate = logs, retention, rate
        self._pending: dict[str, Pending] = {}
        self.listeners: list[Listener] = []
        self._full = asyncio.Event()

    def allowance(self, app: str, count: int) -> int:
        """How many of `count` lines are taken now; the others are counted as dropped."""
        pending = self._of(app)
        elapsed = time.monotonic() - pending.refilled
        pending.refilled += elapsed
        pending.room = min(pending.room + elapsed * self._rate, self._rate * BURST)
        taken = min(count, int(pending.room)) if pending.size < MOST_PENDING else 0
        pending.room -= taken
        pending.dropped += count - taken
        return taken

    def add(self, app: str, lines: list[bytes], positions: dict[bytes, Position] | None = None) -> None:
        """Takes lines that had their allowance, and how far their sources were read with them."""
        pending = self._of(app)
        pending.lines += lines
        pending.size += sum(map(len, lines))
        pending.positions.update(positions or {})
        if pending.size > MOST_PENDING / 4:
            self._full.set()

    def say(self, app: str, text: bytes) -> None:
        """A line of our own."""
        self.add(app, [compose(now(), OURS, text)])

    def _of(self, app: str) -> Pending:
        if app not in self._pending:
            self._pending[app] = Pending(room=self._rate * BURST, refilled=time.monotonic())
        return self._pending[app]

    async def run(self) -> None:
        """Writes what waits, and keeps the retention, until cancelled; then writes the rest."""
        next_tidy = time.monotonic()
        try:
            while True:
                try:
                    async with asyncio.timeout(FLUSH):
                        await self._full.wait()
                except TimeoutError:
                    pass
                self._full.clear()
                await self.flush()
                if time.monotonic() >= next_tidy:
                    next_tidy = time.monotonic() + TIDY
                    await asyncio.to_thread(self._tidy)
        finally:
            await self.flush()

    async def flush(self) -> None:
        for app, pending in list(self._pending.items()):
            self._tell_dropped(app, pending)
            if not pending.lines:
                if time.monotonic() - pending.refilled > 600:
                    del self._pending[app]
                continue
            try:
                full = self._logs(app).append(pending.lines)
            except OSError as exc:
                log.error("lines of %s can't be written: %s", app, exc)
                if pending.size > MOST_PENDING:
                    pending.dropped += len(pending.lines)
                    pending.lines, pending.size = [], 0
                continue
            self._logs(app).positions.update(pending.positions)
            lines, pending.lines, pending.size, pending.positions = pending.lines, [], 0, {}
            for listener in self.listeners:
                listener(app, lines)
            if full is not None:
                await asyncio.to_thread(pack, full)
                self._logs(app).tidy(self._retention(app), time.time())

    def _tell_dropped(self, app: str, pending: Pending) -> None:
        if pending.dropped and time.monotonic() - pending.told >= 1.0:
            count, pending.dropped, pending.told = pending.dropped, 0, time.monotonic()
            self.say(app, b"WARN %d lines dropped: more came than %d a second" % (count, self._rate))

    def _tidy(self) -> None:
        for app in list(self._pending):
            self._logs(app).tidy(self._retention(app), time.time())


def pack_what_was_left(log_: AppLog) -> None:
    for path in unpacked(log_.folder):
        pack(path)
