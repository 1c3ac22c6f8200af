"""A log line: when, from where, what. As bytes, because most are only passed on.

Kept and passed around as `2026-01-31T10:00:00.123456789Z shop[web.v3.x7k2p]: text`, without an end of line: sorting
the bytes sorts by time.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

STAMP = 30  # characters of a time with nanoseconds
LONGEST = 32 * 1024  # bytes of one line; what is longer is cut and says so
CUT = b" [cut: the line is longer]"
PLATFORM = ("controller", "router", "builder", "platform", "logger")  # `deis[NAME]`
ALIASES = {"build": "builder", "release": "controller", "dyno": "platform"}
UNFIT = re.compile(rb"[\r\x00]+")


def stamp_of(nanoseconds: int) -> bytes:
    """`2026-01-31T10:00:00.123456789Z`."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return b"%s.%09dZ" % (moment.encode(), rest)


def now() -> bytes:
    return stamp_of(time.time_ns())


def normal_stamp(text: bytes) -> bytes | None:
    """A time as Kubernetes or Python writes it, with nine digits and in UTC; None when it is none."""
    if len(text) == STAMP and text[-1:] == b"Z" and text[19:20] == b".":
        return text
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.decode("ascii")).replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    head = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
    digits = re.search(rb"\.(\d+)", text)
    return b"%s.%sZ" % (head, (digits[1] if digits else b"")[:9].ljust(9, b"0"))


def compose(stamp: bytes, source: bytes, text: bytes) -> bytes:
    if len(text) > LONGEST:
        text = text[: LONGEST - len(CUT)] + CUT
    return b"%s %s: %s" % (stamp, source, text)


def cleaned(text: bytes) -> bytes:
    """One line of it: without what would end it early or spoil a terminal's line."""
    return UNFIT.sub(b"", text.replace(b"\n", b" "))


def source_of(line: bytes) -> bytes:
    """`shop[web.v3.x7k2p]`."""
    return line[STAMP + 1 : line.find(b": ", STAMP)]


def text_of(line: bytes) -> bytes:
    return line[line.find(b": ", STAMP) + 2 :]


def kind_of(source: bytes) -> str:
    """`app`, or the part of the platform that speaks."""
    return source[5:-1].decode("ascii", "replace") if source.startswith(b"deis[") else "app"


def process_of(source: bytes) -> tuple[str, str, str]:
    """(type, version, suffix) of an app's process; of the platform's parts their name and nothing."""
    inner = source[source.find(b"[") + 1 : -1].decode("utf-8", "replace")
    kind, _, rest = inner.partition(".")
    version, _, suffix = rest.partition(".")
    return kind, version, suffix


def shown(line: bytes) -> bytes:
    """As the API shows it: time to the second with its offset, which is how Deis has it."""
    return b"%s+00:00 %s\n" % (line[:19], line[STAMP + 1 :])
