"""Which lines of a log somebody wants, as they write it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from controller.errors import BadRequest, Invalid

AGO = re.compile(r"(\d{1,6})\s*(s|sec|m|min|h|d|w)")
SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
SOURCES = ("app", "router", "controller", "builder", "platform", "logger", "build", "release")
PASSED = ("ps", "source", "grep")


def filters(params: Mapping[str, str]) -> dict[str, str]:
    """What `read_logs` takes as its query, of ps, source, grep, since and until. Raises: BadRequest, Invalid."""
    query = {name: params[name] for name in PASSED if params.get(name)}
    for name in ("since", "until"):
        if params.get(name):
            query[name] = moment(params[name], name)
    if query.get("source", "app") not in SOURCES:
        raise Invalid(source=f"A source is one of {', '.join(SOURCES)}")
    for name, value in query.items():
        if len(value) > 1000 or "\x00" in value:
            raise BadRequest(f"{name} is too long, or has a NUL character")
    return query


def moment(text: str, field: str) -> str:
    """A time in UTC, from one, from a day, or from how long ago it was (`90s`, `15m`, `2h`, `3d`). Raises: Invalid."""
    text = text.strip()
    if ago := AGO.fullmatch(text.removesuffix(" ago")):
        when = timezone.now() - timedelta(seconds=int(ago[1]) * SECONDS[ago[2]])
    else:
        try:
            when = datetime.fromisoformat(
                text.replace(" ", "+") if "T" in text else text
            )  # a bare + arrives as a blank
        except ValueError as exc:
            wanted = "a time such as 2026-01-31T10:00:00Z, or how long ago: 90s, 15m, 2h, 3d"
            raise Invalid(**{field: f"{text} is no time; write {wanted}"}) from exc
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
