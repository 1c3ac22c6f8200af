"""Reading back: the newest lines of an app that match."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from logger.errors import BadQuery
from logger.lines import ALIASES, STAMP, kind_of, normal_stamp, process_of, source_of, text_of
from logger.store import newest_first, read_segment

DEFAULT_LINES, MOST_LINES = 100, 10_000
PATIENCE = 10.0  # seconds a search may take
SLACK = 60.0  # seconds that nodes' clocks may be ahead of ours
LONGEST_PATTERN = 1000  # characters


@dataclass(frozen=True)
class Filter:
    """Which lines are wanted; empty fields want all."""

    since: bytes = b""
    until: bytes = b""
    process: str = ""
    kind: str = ""
    pattern: bytes = b""
    fold: bool = False  # the pattern has no capital letters: capitals in lines count as small ones

    def wants(self, line: bytes) -> bool:
        if len(line) <= STAMP or line[0] == 35:  # `#`: a note of the store's own
            return False
        if self.since and line[:STAMP] < self.since or self.until and line[:STAMP] > self.until:
            return False
        if self.kind or self.process:
            source = source_of(line)
            if self.kind and kind_of(source) != self.kind:
                return False
            if self.process and not is_of(source, self.process):
                return False
        if not self.pattern:
            return True
        text = text_of(line)
        return self.pattern in (text.lower() if self.fold else text)


def is_of(source: bytes, wished: str) -> bool:
    """Whether `source` is the process that a user calls `web`, `web.v3`, `web.x7k2p`, `web-x7k2p` or `x7k2p`."""
    kind, version, suffix = process_of(source)
    names = (kind, f"{kind}.{version}", f"{kind}.{version}.{suffix}", f"{kind}.{suffix}", f"{kind}-{suffix}", suffix)
    return wished in names


def filter_of(query: Mapping[str, str]) -> Filter:
    """Raises: BadQuery naming the field."""
    moments = {}
    for name in ("since", "until"):
        text = query.get(name, "")
        moments[name] = (normal_stamp(text.encode("ascii", "replace")) or b"") if text else b""
        if text and not moments[name]:
            raise BadQuery(f"{name}: {text!r} is no time such as 2026-01-31T10:00:00Z")
    pattern = query.get("grep", "")
    if len(pattern) > LONGEST_PATTERN:
        raise BadQuery(f"grep: a text to look for has at most {LONGEST_PATTERN} characters")
    kind = query.get("source", "")
    return Filter(
        since=moments["since"],
        until=moments["until"],
        process=query.get("ps", ""),
        kind=ALIASES.get(kind, kind),
        pattern=pattern.encode(),
        fold=pattern == pattern.lower(),
    )


def lines_of(query: Mapping[str, str]) -> int:
    """How many lines are wanted; all when only a time is named."""
    text = query.get("lines", "")
    if text.isascii() and text.isdigit() and int(text[:9]):
        return min(int(text[:9]), MOST_LINES)
    return MOST_LINES if query.get("since") and not text else DEFAULT_LINES


def newest(folder: Path, wanted: Filter, count: int) -> list[bytes]:
    """The newest `count` lines that match, the oldest first. What takes too long is given up, and says so."""
    found: list[bytes] = []
    deadline = time.monotonic() + PATIENCE
    since = _seconds(wanted.since)
    for path in newest_first(folder):
        with contextlib.suppress(FileNotFoundError):
            if since and path.stat().st_mtime < since - SLACK:
                break
            matching = [line for line in read_segment(path).split(b"\n") if wanted.wants(line)]
            found = in_order(matching)[-count:] + found
        if len(found) >= count:
            break
        if time.monotonic() > deadline:
            notice = b"the search was given up after %d s; name a shorter time with --since" % PATIENCE
            return [*in_order(found)[-count:], found[-1][:STAMP] + b" deis[logger]: WARN " + notice] if found else []
    return in_order(found)[-count:]


def in_order(lines: list[bytes]) -> list[bytes]:
    """By time; lines of the same time as they came."""
    return sorted(lines, key=lambda line: line[:STAMP])


def _seconds(stamp: bytes) -> float:
    if not stamp:
        return 0.0
    import calendar

    return calendar.timegm(time.strptime(stamp[:19].decode(), "%Y-%m-%dT%H:%M:%S"))
