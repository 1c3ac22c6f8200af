"""Cron schedules as Kubernetes reads them: five fields, names of months and days, steps, `@daily` and `@every 1h`.

Source: robfig/cron v3, the standard parser.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

_MONTHS = {name: at for at, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)}
_DAYS = {name: at for at, name in enumerate("sun mon tue wed thu fri sat".split())}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|m|s|ms)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_HORIZON = timedelta(days=5 * 366)


class Schedule(NamedTuple):
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    """Day of month was `*`."""
    any_weekday: bool
    every: float = 0.0
    """Seconds between runs of an `@every` schedule; the sets are empty then."""

    def next_after(self, when: datetime) -> datetime | None:
        """The first time after `when`, in its time zone; None when there is none within five years."""
        if self.every:
            return (when + timedelta(seconds=self.every)).replace(microsecond=0)
        at = when.replace(second=0, microsecond=0) + timedelta(minutes=1)
        limit = when + _HORIZON
        while at < limit:
            if at.month not in self.months:
                year, month = (at.year + 1, 1) if at.month == 12 else (at.year, at.month + 1)
                at = at.replace(year=year, month=month, day=1, hour=0, minute=0)
            elif not self._on_day(at):
                at = at.replace(hour=0, minute=0) + timedelta(days=1)
            elif at.hour not in self.hours:
                at = at.replace(minute=0) + timedelta(hours=1)
            elif at.minute not in self.minutes:
                at += timedelta(minutes=1)
            else:
                return at
        return None

    def _on_day(self, at: datetime) -> bool:
        day, weekday = at.day in self.days, (at.weekday() + 1) % 7 in self.weekdays
        return (day and weekday) if self.any_day or self.any_weekday else (day or weekday)


def parse_schedule(text: str) -> Schedule:
    """Raises: ValueError, saying what is wrong."""
    if text.startswith("@every "):
        never: frozenset[int] = frozenset()
        return Schedule(never, never, never, never, never, False, False, _duration(text.removeprefix("@every ")))
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    minutes, hours, days, months, weekdays = (_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True))
    return Schedule(minutes, hours, days, months, weekdays, parts[2][0] in "*?", parts[4][0] in "*?")


def cron_problem(text: str) -> str:
    """What is wrong with a schedule; empty when nothing is."""
    try:
        parse_schedule(text)
    except ValueError as problem:
        return str(problem)
    return ""


def _duration(text: str) -> float:
    if not _DURATION.match(text) or _DURATION.sub("", text):
        raise ValueError(f"failed to parse duration @every {text}: time: invalid duration {text!r}")
    return max(1.0, sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text)))


def _field(text: str, name: str, low: int, high: int, words: dict[str, int]) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        values |= _range(part, name, low, high, words)
    return frozenset(values)


def _range(part: str, name: str, low: int, high: int, words: dict[str, int]) -> set[int]:
    span, slash, step_text = part.partition("/")
    start_text, dash, end_text = span.partition("-")
    if start_text in ("*", "?"):
        start, end = low, high
    else:
        start = _number(start_text, words)
        end = _number(end_text, words) if dash else (high if slash else start)
    step = _number(step_text, {}) if slash else 1
    if name == "day of week":
        start, end = (0 if start == 7 and not dash else start), (0 if end == 7 and not dash and not slash else end)
    if start < low:
        raise ValueError(f"beginning of range ({start}) below minimum ({low}): {part}")
    if end > high:
        raise ValueError(f"end of range ({end}) above maximum ({high}): {part}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {part}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {part}")
    return set(range(start, end + 1, step))


def _number(text: str, words: dict[str, int]) -> int:
    if text.lower() in words:
        return words[text.lower()]
    if not text.isdigit():
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)
