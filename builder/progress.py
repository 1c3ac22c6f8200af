"""What a pusher reads: lines in the words users know, and where the time went."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Clock = Callable[[], float]


class Progress:
    """Writes lines to the pusher and times the phases of a push."""

    def __init__(self, write: Callable[[bytes], None], clock: Clock = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self.began = clock()
        self.phases: dict[str, float] = {}

    def step(self, text: str) -> None:
        self._line("-----> " + text)

    def detail(self, text: str) -> None:
        self._line("       " + text)

    def state(self, text: str) -> None:
        self._line("=====> " + text)

    def error(self, text: str) -> None:
        for line in text.splitlines() or [""]:
            self._line(" !     " + line)

    def raw(self, line: bytes) -> None:
        """A line of a build's own output, as it came."""
        self._write(line)

    def blank(self) -> None:
        self._line("")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        started = self._clock()
        try:
            yield
        finally:
            self.add(name, self._clock() - started)

    def add(self, name: str, seconds: float) -> None:
        self.phases[name] = self.phases.get(name, 0.0) + seconds

    def total(self) -> float:
        return self._clock() - self.began

    def _line(self, text: str) -> None:
        self._write(text.encode() + b"\n")


def render_phases(phases: dict[str, float], total: float) -> str:
    """`fetch 0.02 s, build 0.31 s … of 1.20 s`, longest first, without what took no time."""
    parts = sorted(phases.items(), key=lambda item: -item[1])
    told = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in parts if seconds >= 0.005)
    return f"{told} of {total:.2f} s" if told else f"{total:.2f} s"


def human(size: float) -> str:
    """1 GiB, 512 MiB, 1.5 KiB, 12 B."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if size == int(size) or unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")
