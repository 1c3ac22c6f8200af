"""Cron schedules: five fields or a macro, with a time zone; when a schedule fires next.

Source: robfig/cron v3, the parser Kubernetes uses: numbers, names, `*`, `?`, ranges, lists and steps; a day matches
when either day field does, if both are restricted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = {name: number for number, name in enumerate(
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1)}  # fmt: skip
_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_Bounds = tuple[str, int, int, dict[str, int]]
_BOUNDS: tuple[_Bounds, ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_EVERY = re.compile(r"@every\s+((?:\d+(?:\.\d+)?(?:h|m|s))+)")
HORIZON = timedelta(days=366 * 5)  # a schedule that does not fire within five years never does (30 February)


@dataclass(frozen=True)
class Schedule:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool
    zone: tzinfo
    every: timedelta | None = None

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
        if day.month not in self.months:
            return False
        in_month, in_week = day.day in self.days, (day.isoweekday() % 7) in self.weekdays
        if self.any_day or self.any_weekday:
            return in_month and in_week
        return in_month or in_week

    def _times(self, day: datetime) -> Iterator[datetime]:
        """The day's times in UTC, in order; those that the clocks skip are left out, repeated ones come once."""
        for hour in sorted(self.hours):
            for minute in sorted(self.minutes):
                local = day.replace(hour=hour, minute=minute)
                found = local.astimezone(UTC)
                if found.astimezone(self.zone).replace(tzinfo=None) == local.replace(tzinfo=None):
                    yield found


def parse_schedule(text: str, zone: str | None = None) -> Schedule:
    """Raises: ValueError that says what is wrong."""
    text = text.strip()
    if text.startswith(("TZ=", "CRON_TZ=")):
        prefix, _, text = text.partition(" ")
        zone = zone or prefix.partition("=")[2]
    where = _zone(zone)
    if text.startswith("@every"):
        return _every(text, where)
    fields = MACROS.get(text, text).split()
    if len(fields) != 5:
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: {fields}")
    minutes, hours, days, months, weekdays = (
        _field(field, *bounds) for field, bounds in zip(fields, _BOUNDS, strict=True)
    )
    return Schedule(
        minutes, hours, days, months, weekdays, any_day=_is_any(fields[2]), any_weekday=_is_any(fields[4]), zone=where
    )


def _is_any(field: str) -> bool:
    return field.startswith(("*", "?"))


def _zone(name: str | None) -> tzinfo:
    if not name or name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name}") from error


def _every(text: str, zone: tzinfo) -> Schedule:
    found = _EVERY.fullmatch(text)
    if found is None:
        raise ValueError(f"failed to parse duration {text!r}; write for example @every 1h30m")
    seconds = sum(
        float(value) * {"h": 3600, "m": 60, "s": 1}[unit]
        for value, unit in re.findall(r"(\d+(?:\.\d+)?)(h|m|s)", found.group(1))
    )
    none: frozenset[int] = frozenset()
    return Schedule(none, none, none, none, none, False, False, zone, timedelta(seconds=max(1, int(seconds))))


def _field(text: str, name: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if step and (not step.isdigit() or int(step) == 0):
            raise ValueError(f"{name}: {part!r} has no valid step")
        if span in ("*", "?"):
            first, last = low, high
        else:
            start, dash, end = span.partition("-")
            first = _number(start, name, names)
            last = _number(end, name, names) if dash else (high if step else first)
        if name == "day of week":
            first, last = (0 if first == 7 and last == 7 else first), (0 if first == 7 and last == 7 else last)
        if not low <= first <= last <= (7 if name == "day of week" else high):
            raise ValueError(f"{name}: {part!r} is outside {low}-{high}")
        found.update(value % 7 if name == "day of week" else value for value in range(first, last + 1, int(step or 1)))
    return frozenset(found)


def _number(text: str, name: str, names: dict[str, int]) -> int:
    if text.isdigit():
        return int(text)
    if text.lower() in names:
        return names[text.lower()]
    raise ValueError(f"{name}: failed to parse int from {text!r}")
