"""Cron schedules as Kubernetes reads them (five fields, names of months and days, steps, `@daily`, `@every 1h`), and
when one fires next.

Source: robfig/cron v3, the standard parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
HORIZON = timedelta(days=5 * 366)  # a schedule that doesn't fire within five years never does (30 February)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to run: the values each field allows (0 is Sunday), or a distance between runs."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool  # day of month was `*`
    any_weekday: bool
    zone: tzinfo
    every: timedelta | None = None  # between runs of an `@every` schedule; the sets are empty then

    def after(self, moment: datetime) -> datetime | None:
        """The first time later than `moment` that the schedule fires, in UTC; None when it never does."""
        if self.every is not None:
            return (moment + self.every).astimezone(UTC).replace(microsecond=0)
        local = moment.astimezone(self.zone)
        day = local.replace(hour=0, minute=0, second=0, microsecond=0)
        limit = moment + HORIZON
        while day.astimezone(UTC) <= limit:
            if self._matches_day(day):
                for candidate in self._times(day):
                    if candidate > moment:
                        return candidate
            day = (day + timedelta(days=1)).replace(hour=0, minute=0)
        return None

    def _matches_day(self, day: datetime) -> bool:
        """Restricted in both fields, a day matches by either; else by both."""
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, (day.isoweekday() % 7) in self.weekdays
        return (in_month and in_week) if self.any_day or self.any_weekday else (in_month or in_week)

    def _times(self, day: datetime) -> Iterator[datetime]:
        """The day's times in UTC, in order; those that the clocks skip are left out, repeated ones come once."""
        for hour in sorted(self.hours):
            for minute in sorted(self.minutes):
                local = day.replace(hour=hour, minute=minute)
                found = local.astimezone(UTC)
                if found.astimezone(self.zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                    yield found


def parse_schedule(text: str, zone: str | None = None) -> Schedule:
    """The schedule that `text` says, by the clocks of `zone` (None: UTC). Raises: ValueError, saying what is wrong."""
    where = _zone(zone)
    if text.startswith("@every "):
        never: frozenset[int] = frozenset()
        every = _duration(text.removeprefix("@every "))
        return Schedule(never, never, never, never, never, False, False, where, every)
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    minutes, hours, days, months, weekdays = (_field(part, *field) for part, field in zip(parts, _FIELDS, strict=True))
    return Schedule(minutes, hours, days, months, weekdays, parts[2][0] in "*?", parts[4][0] in "*?", where)


def cron_problem(text: str) -> str:
    """What is wrong with a schedule; empty when nothing is."""
    try:
        parse_schedule(text)
    except ValueError as problem:
        return str(problem)
    return ""


def _zone(name: str | None) -> tzinfo:
    if not name or name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ValueError(f"unknown time zone {name}") from exc


def _duration(text: str) -> timedelta:
    """Whole seconds, at least one."""
    if not _DURATION.match(text) or _DURATION.sub("", text):
        raise ValueError(f"failed to parse duration @every {text}: time: invalid duration {text!r}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))
    return timedelta(seconds=max(1, int(seconds)))


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
