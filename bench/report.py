"""How a measurement is taken and shown."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table: ours beside what it is held against, both in `unit`, from the same run."""

    what: str
    ours: float
    unit: str
    against: str = ""
    reference: float | None = None
    runs: int = 1
    note: str = ""

    @property
    def ratio(self) -> str:
        return f"{self.ours / self.reference:.2f} ×" if self.reference else ""


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def seconds(action: Callable[[], object], runs: int) -> list[float]:
    """Wall seconds of each of `runs` calls."""
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return taken


def render(rows: Sequence[Row]) -> str:
    """A Markdown table."""
    lines = [
        "| what | ours | against | reference | ratio | runs | note |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        reference = "" if row.reference is None else f"{row.reference:.4g} {row.unit}"
        cells = (row.what, f"{row.ours:.4g} {row.unit}", row.against, reference, row.ratio, str(row.runs), row.note)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
