"""Graphs of an app's figures as lines and bars of a drawing. Pure: no request, no query, no clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from controller.models import Release, Usage

WIDTH, HEIGHT = 600, 100  # of the drawing, whatever size it is shown in
COLOURS = 5

Value = Callable[[Usage], float | None]
Chart = dict[str, Any]


class Span:
    """The time a graph shows: `length` that ends at `end`, in steps of `minutes`."""

    def __init__(self, end: datetime, length: timedelta, minutes: int) -> None:
        end = end.replace(second=0, microsecond=0)
        self.end, self.length, self.minutes = end - timedelta(minutes=end.minute % minutes), length, minutes

    def place(self, moment: datetime) -> float:
        """How far to the right `moment` is."""
        return round(WIDTH * (1 - (self.end - moment) / self.length), 1)

    def edges(self, row: Usage) -> tuple[float, float]:
        return max(self.place(row.time - timedelta(minutes=row.minutes)), 0), self.place(row.time)

    def is_now(self, row: Usage) -> bool:
        return self.end - row.time < timedelta(minutes=2 * self.minutes)


def decimal_ceiling(most: float) -> float:
    """The smallest of 1, 2, 5, 10, … that `most` doesn't exceed."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(power * step for step in (1, 2, 5, 10, 20) if power * step >= most)


def binary_ceiling(most: float) -> float:
    """The smallest power of two that `most` doesn't exceed."""
    return 2.0 ** math.ceil(math.log2(most)) if most > 1 else 1.0


def charts_of(rows: Sequence[Usage], span: Span) -> list[Chart]:
    """The four graphs of an app: requests, response time, CPU, memory."""
    types = sorted({kind for row in rows for kind in row.types}, key=lambda kind: (kind not in ("web", "cmd"), kind))
    return [
        chart("Requests", "a minute", rows, span, [("requests", per_minute("requests")), ("5xx", per_minute("errors"))],
              short_number, bars=True),
        chart("Response time", "95 of 100 within", rows, span, [("web", lambda row: row.latency)], duration),
        chart("CPU", "cores, of all processes of a type", rows, span, [(kind, of_type(kind, 1)) for kind in types],
              short_number),
        chart("Memory", "the largest process of a type", rows, span, [(kind, of_type(kind, 2)) for kind in types],
              size, ceiling_of=binary_ceiling),
    ]  # fmt: skip


def chart(
    title: str,
    of: str,
    rows: Sequence[Usage],
    span: Span,
    series: Sequence[tuple[str, Value]],
    told: Callable[[float], str],
    bars: bool = False,
    ceiling_of: Callable[[float], float] = decimal_ceiling,
) -> Chart:
    """A graph: its lines (or bars), its legend, and what to say at each moment."""
    values = {name: [value_of(row) for row in rows] for name, value_of in series}
    most = max((value for found in values.values() for value in found if value is not None), default=0.0)
    top = ceiling_of(most)
    lines = []
    for number, (name, found) in enumerate(values.items()):
        last = found[-1] if rows and span.is_now(rows[-1]) else None
        lines.append(
            {
                "name": name,
                "colour": "bad" if name == "5xx" else number % COLOURS + 1,
                "path": (bar_path if bars else step_path)(rows, found, span, top),
                "now": "–" if last is None else told(last),
            }
        )
    label = "; ".join(f"{line['name']} now {line['now']}" for line in lines)
    return {
        "title": title,
        "of": of,
        "top": told(top),
        "lines": lines,
        "is_bars": bars,
        "label": f"{title}, {of}: {label}; at most {told(most)}" if most else f"{title}, {of}: nothing",
        "moments": [moment_of(row, values, at, span, told) for at, row in enumerate(rows)],
    }


def moment_of(
    row: Usage, values: dict[str, list[float | None]], at: int, span: Span, told: Callable[[float], str]
) -> dict[str, Any]:
    left, right = span.edges(row)
    said = ", ".join(f"{name} {told(value)}" for name, found in values.items() if (value := found[at]) is not None)
    return {"x": left, "width": round(right - left, 1), "text": f"{row.time:%H:%M} UTC: {said or 'nothing'}"}


def step_path(rows: Sequence[Usage], values: Sequence[float | None], span: Span, top: float) -> str:
    """A line with a step for each row; where rows or values are missing, a gap."""
    path, ended = "", None
    for row, value in zip(rows, values, strict=True):
        if value is None:
            ended = None
            continue
        left, right = span.edges(row)
        path += f"{'L' if ended == left else 'M'}{left} {height_of(value, top)}H{right}"
        ended = right
    return path


def bar_path(rows: Sequence[Usage], values: Sequence[float | None], span: Span, top: float) -> str:
    path = ""
    for row, value in zip(rows, values, strict=True):
        if value:
            left, right = span.edges(row)
            path += f"M{left} {HEIGHT}V{height_of(value, top)}H{right}V{HEIGHT}Z"
    return path


def height_of(value: float, top: float) -> float:
    return round(HEIGHT * (1 - value / top), 1)


def mark_rows(releases: Sequence[Release], span: Span) -> list[dict[str, Any]]:
    """Where releases were made, for a line across every graph."""
    return [{"x": span.place(made.created), "text": f"v{made.version}: {made.summary}"} for made in releases]


def per_minute(name: str) -> Value:
    return lambda row: getattr(row, name) / row.minutes


def of_type(kind: str, figure: int) -> Value:
    return lambda row: row.types[kind][figure] if kind in row.types else None


def short_number(value: float) -> str:
    text = f"{value:.{0 if value >= 10 else 1 if value >= 1 else 3}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def duration(seconds: float) -> str:
    return f"{short_number(seconds)} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def size(count: float) -> str:
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return f"{short_number(count / unit)} {name}"
    return f"{count:.0f} bytes"
