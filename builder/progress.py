"""What a pusher reads: lines in the words users know, and where the time went."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

SECRET_KEYS = re.compile(r"(?i)secret|token|passw|credential|private|api_?key|_key$|dsn")
CREDENTIALS = re.compile(r"://[^/\s]*:[^/\s]+@")  # a URL with a password in it
LAST_LINES = 200
SECRET_LENGTH = 8  # characters; shorter values would blot out ordinary words
Clock = Callable[[], float]


class Progress:
    """Writes lines to the pusher and times the phases of a push."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        clock: Clock = time.monotonic,
        drain: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._sink, self._clock, self._drain = write, clock, drain
        self._secrets: list[tuple[bytes, bytes]] = []
        self._copies: list[Callable[[bytes], None]] = []
        self.last: deque[bytes] = deque(maxlen=LAST_LINES)  # what a failure is explained from
        self.ahead = 0  # builds that are to be made before this one may begin
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

    def copy_to(self, write: Callable[[bytes], None]) -> None:
        """From now on `write` gets the lines too, as the pusher reads them."""
        self._copies.append(write)

    def hide(self, config: Mapping[str, str]) -> None:
        """From now on the values of keys that sound secret are shown as their key."""
        secret = [(value, key) for key, value in config.items() if is_secret(key, value)]
        secret.sort(key=lambda item: -len(item[0]))
        self._secrets = [(value.encode(), f"[{key}]".encode()) for value, key in secret]

    def shown(self, text: str) -> str:
        """`text` as the pusher reads it."""
        return self._hidden(text.encode(errors="replace")).decode(errors="replace")

    async def drained(self) -> None:
        """Wait until the pusher has taken what was written, so that a slow one slows the build down."""
        if self._drain:
            await self._drain()

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
        self._write(text.encode(errors="replace") + b"\n")

    def _hidden(self, data: bytes) -> bytes:
        for value, shown in self._secrets:
            data = data.replace(value, shown)
        return data

    def _write(self, data: bytes) -> None:
        data = self._hidden(data)
        self.last.append(data)
        for write in (self._sink, *self._copies):
            write(data)


def is_secret(key: str, value: str) -> bool:
    return len(value) >= SECRET_LENGTH and bool(SECRET_KEYS.search(key) or CREDENTIALS.search(value))


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
