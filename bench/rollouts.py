"""Requests lost while an app under load is changed, and how long a rollback takes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from bench.platform import example_app
from bench.report import Row, median
from tests.e2e.developer import Developer, Wrk, until

RUNS = 10


def measure() -> list[Row]:
    rows = []
    with example_app() as (developer, app, _):
        developer.paas("scale", "web=2", "-a", app)
        for what, action in ACTIONS.items():
            rows += _under_load(developer, app, what, action)
        rows.append(_rollback(developer, app))
    return rows


def _under_load(developer: Developer, app: str, what: str, action: Callable[[Developer, str, int], None]) -> list[Row]:
    taken, failed, total = [], 0, 0
    for number in range(RUNS):
        if before := BEFORE.get(what):
            developer.paas("scale", before, "-a", app)
        with Wrk(developer.platform, app) as load:
            started = time.monotonic()
            action(developer, app, number)
            taken.append(time.monotonic() - started)
        assert load.result is not None
        failed += load.result.failed + load.result.not_200
        total += load.result.requests
    note = f"{failed} of {total} requests failed; wrk, 64 keep-alive connections"
    return [Row(f"{what} under load", median(taken), "s", runs=RUNS, note=note)]


def _rollback(developer: Developer, app: str) -> Row:
    taken = []
    for number in range(RUNS):
        developer.paas("config:set", f"GREETING=old{number}", "-a", app)
        old = _newest(developer, app)
        developer.paas("config:set", f"GREETING=new{number}", "-a", app)
        started = time.monotonic()
        developer.paas("rollback", f"v{old}", "-a", app)
        until(lambda number=number: f"old{number}" in developer.ask(app).body, 10)
        taken.append(time.monotonic() - started)
    return Row(
        "rollback until the old version answers", median(taken), "s", "bar", 5.0, RUNS, f"worst {max(taken):.1f} s"
    )


def _newest(developer: Developer, app: str) -> int:
    return int(re.findall(r"^v(\d+)", developer.paas("releases", "-a", app).stdout, re.M)[0])


def _rolling_update(developer: Developer, app: str, number: int) -> None:
    developer.paas("config:set", f"ROUND={time.time()}", "-a", app)


def _scale_up(developer: Developer, app: str, number: int) -> None:
    developer.paas("scale", "web=4", "-a", app)


def _scale_down(developer: Developer, app: str, number: int) -> None:
    developer.paas("scale", "web=2", "-a", app)


def _restart(developer: Developer, app: str, number: int) -> None:
    developer.paas("ps:restart", "web", "-a", app)


def _roll_back(developer: Developer, app: str, number: int) -> None:
    developer.paas("rollback", f"v{_newest(developer, app) - 1}", "-a", app)


BEFORE = {"scale up": "web=2", "scale down": "web=4"}
ACTIONS = {
    "rolling update": _rolling_update,
    "scale up": _scale_up,
    "scale down": _scale_down,
    "restart": _restart,
    "rollback": _roll_back,
}
