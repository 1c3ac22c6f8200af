"""Commands on a schedule: what they are, and what Kubernetes takes of their fields. Pure."""

import re
import zoneinfo
from dataclasses import dataclass

KEPT = 10  # runs of each outcome that the cluster remembers
MISSED = 600  # seconds a run may begin late, after which it is left out
DECLARED_DEADLINE = 3600  # seconds a run of an entry of app.json may take
NAME = re.compile(r"^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$")
MACROS = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
FIELDS = (("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day of the month", 1, 31, ()), ("month", 1, 12, MONTHS),
          ("day of the week", 0, 7, DAYS))  # fmt: skip
POLICIES = {"allow": "Allow", "forbid": "Forbid", "replace": "Replace"}


@dataclass(frozen=True)
class Entry:
    """One command on a schedule."""

    name: str
    command: str
    schedule: str
    timezone: str = "UTC"
    policy: str = "forbid"
    deadline: int = DECLARED_DEADLINE  # seconds
    paused: bool = False
    declared: bool = False  # in app.json


def check_schedule(text: str) -> str:
    """`text` as Kubernetes takes it. Raises: ValueError saying which field is wrong."""
    if text in MACROS:
        return text
    parts = text.split()
    if len(parts) != len(FIELDS):
        raise ValueError(
            f"a schedule has five fields (minute hour day month weekday), or is one of {', '.join(MACROS)}"
        )
    for part, (name, least, most, words) in zip(parts, FIELDS, strict=True):
        for piece in part.split(","):
            if not _is_piece(piece.lower(), least, most, words):
                raise ValueError(f"{part!r} is no {name}: write {least}-{most}, *, a-b, or any of them with /n")
    return " ".join(parts)


def _is_piece(piece: str, least: int, most: int, words) -> bool:
    span, slash, step = piece.partition("/")
    if slash and not (step.isdigit() and int(step) > 0):
        return False
    if span in ("*", "?"):
        return True
    ends = [_number(end, words, least) for end in span.split("-")]
    return (
        len(ends) in (1, 2) and all(end is not None and least <= end <= most for end in ends) and ends == sorted(ends)
    )


def _number(text: str, words, least: int) -> int | None:
    if text in words:
        return words.index(text) + least
    return int(text) if text.isdigit() else None


def check_timezone(name: str) -> str:
    """Raises: ValueError."""
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError) as exc:
        raise ValueError(f"{name!r} is no time zone; one looks like Europe/Berlin") from exc
    return name


def type_of(name: str) -> str:
    """The `type` label of its pods, and what `paas logs --ps` calls it."""
    return f"cron-{name}"
