"""Figures for autoscalers from pages in Prometheus' text form, such as the router's.

What counts up is told as its rate a second, a histogram by the name of its whole as the mean of what it saw meanwhile
(a latency in seconds), everything else as it is. A series belongs to the namespace that its label `namespace` names,
or, without one, `app`: nobody scales by, or learns, another's figures.
"""

from __future__ import annotations

import asyncio
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from orchestrator.machinery.clock import Clock
from orchestrator.objects.selectors import LabelSelector

log = logging.getLogger(__name__)

WINDOW = 15.0  # seconds between readings
STALE = 120.0  # seconds after which an older reading says nothing about the present
TIMEOUT, LARGEST = 5.0, 16 * 1024 * 1024  # seconds and bytes of one page

_LINE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


Fetch = Callable[[str], Awaitable[str]]


class Figure(NamedTuple):
    labels: Mapping[str, str]
    value: float


class Reading(NamedTuple):
    at: float
    series: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
    kinds: Mapping[str, str]
    """Name → counter, gauge, histogram, …"""


class NoFigures(Exception):
    """Why a metric can't be told."""


def parse_page(text: str, at: float) -> Reading:
    """Lines that are not understood are left out."""
    series: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(None, 3) if line.count(" ") >= 3 else ("", "", "", "")
            kinds[name] = kind.strip()
        elif line and line[0] != "#" and (found := _LINE.fullmatch(line.strip())):
            labels = {key: _ESCAPED.sub(r"\1", value) for key, value in _LABEL.findall(found[2] or "")}
            try:
                series[found[1], tuple(sorted(labels.items()))] = float(found[3])
            except ValueError:
                continue
    return Reading(at, series, kinds)


def figures(before: Reading | None, now: Reading, name: str) -> list[Figure]:
    """The series called `name`. Raises: NoFigures when a rate needs an earlier reading."""
    if now.kinds.get(name) == "histogram":
        sums = {one.labels_key: one.rate for one in _rates(before, now, f"{name}_sum")}
        counts = {one.labels_key: one.rate for one in _rates(before, now, f"{name}_count")}
        return [Figure(dict(key), sums.get(key, 0.0) / count) for key, count in counts.items() if count > 0]
    if _counts_up(now, name):
        return [Figure(dict(one.labels_key), one.rate) for one in _rates(before, now, name)]
    return [Figure(dict(labels), value) for (called, labels), value in now.series.items() if called == name]


def _counts_up(reading: Reading, name: str) -> bool:
    whole = re.sub("_(bucket|sum|count)$", "", name)
    return reading.kinds.get(name) == "counter" or (whole != name and reading.kinds.get(whole) == "histogram")


class _Rate(NamedTuple):
    labels_key: tuple[tuple[str, str], ...]
    rate: float


def _rates(before: Reading | None, now: Reading, name: str) -> list[_Rate]:
    found = [(labels, value) for (called, labels), value in now.series.items() if called == name]
    if before is None and found:
        raise NoFigures(f"{name} was read for the first time; a rate needs two readings, {WINDOW:.0f} s apart")
    rates = []
    for labels, value in found:
        assert before is not None
        old = before.series.get((name, labels), 0.0)
        grown = value - old if value >= old else value  # it began anew
        rates.append(_Rate(labels, grown / max(now.at - before.at, 0.001)))
    return rates


class MetricPages:
    """Reads the pages when somebody asks, at most every `WINDOW` seconds."""

    def __init__(self, urls: Sequence[str], clock: Clock, fetch: Fetch | None = None) -> None:
        self.urls, self._clock, self._fetch = tuple(urls), clock, fetch or fetch_page
        self._readings: dict[str, list[Reading]] = {}
        self._lock = asyncio.Lock()

    async def figures(self, namespace: str, name: str, selector: LabelSelector) -> list[Figure]:
        """What the namespace may see of it. Raises: NoFigures."""
        if not self.urls:
            raise NoFigures("no page of metrics is known to the server; set ORCHESTRATOR_METRICS_URLS")
        problems = await self._refresh()
        found: list[Figure] = []
        for readings in self._readings.values():
            if readings:
                before = readings[0] if len(readings) > 1 else None
                found += figures(before, readings[-1], name)
        found = [
            one
            for one in found
            if (one.labels.get("namespace") or one.labels.get("app")) == namespace and selector.matches(one.labels)
        ]
        if not found:
            raise NoFigures("; ".join(problems) or "no series of that name belongs to this namespace")
        return found

    async def _refresh(self) -> list[str]:
        async with self._lock:
            return [problem for url in self.urls if (problem := await self._read(url))]

    async def _read(self, url: str) -> str:
        """What went wrong, or nothing."""
        readings = self._readings.setdefault(url, [])
        now = self._clock.monotonic()
        readings[:] = [one for one in readings if now - one.at < STALE]
        if readings and now - readings[-1].at < WINDOW:
            return ""
        try:
            text = await self._fetch(url)
        except (OSError, ValueError, urllib.error.URLError) as exc:
            log.info("the metrics at %s could not be read: %s", url, exc)
            return f"{url} could not be read: {exc}"
        readings.append(parse_page(text, now))
        del readings[:-2]
        return ""


async def fetch_page(url: str) -> str:
    """Raises: OSError, ValueError."""
    return await asyncio.to_thread(_get, url)


def _get(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=TIMEOUT) as answer:
        return str(answer.read(LARGEST).decode(errors="replace"))
