"""`git push` of a one-line change until the new version answers, and where the time goes.

The client's clock gives the whole; the builder's own counters (its /metrics) give its phases; what is left of the
push itself is SSH, authentication and receiving the pack.
"""

from __future__ import annotations

import re
import time
import urllib.request
from pathlib import Path

from bench.platform import example_app
from bench.report import Row, median
from tests.e2e.developer import Developer, until

RUNS = 10
BAR = 4.0  # seconds; a peer without containers takes 1.6 s
ANSWER_WITHIN = 30.0  # seconds
PAUSE = 1.0  # seconds between pushes: someone types them
PHASE = re.compile(r'^builder_push_seconds_total\{phase="(\w+)"\} (\S+)$', re.MULTILINE)
TOLD = {
    "container": "taking a waiting build container",
    "config": "config from the controller",
    "unpack": "unpacking the tree",
    "build": "buildpack",
    "pack": "image layers",
    "upload": "registry",
    "deploy": "controller: release until it is live",
    "receive": "SSH, authentication, receiving the pack",
    "answer": "from the end of the push until the new version answers",
}


def measure() -> list[Row]:
    with example_app() as (developer, app, folder):
        runs = [one_push(developer, app, folder, number) for number in range(RUNS)]
    totals = [sum(run.values()) for run in runs]
    rows = [
        Row(
            "git push until the new version answers",
            median(totals),
            "s",
            "bar",
            BAR,
            RUNS,
            f"worst {max(totals):.2f} s",
        )
    ]
    for name, text in TOLD.items():
        rows.append(Row(f"  of it: {text}", median([run.get(name, 0.0) for run in runs]), "s", runs=RUNS))
    return rows


def one_push(developer: Developer, app: str, folder: Path, number: int) -> dict[str, float]:
    """Seconds of each phase of pushing a changed version."""
    wanted = f"bench-{number}"
    source = (folder / "app.py").read_text()
    (folder / "app.py").write_text(re.sub(r'(?m)^VERSION = ".*"$', f'VERSION = "{wanted}"', source))
    developer.git(folder, "commit", "-q", "-a", "-m", wanted)
    time.sleep(PAUSE)
    before = phases(developer)
    started = time.monotonic()
    developer.push(folder)
    pushed = time.monotonic()
    until(lambda: wanted in developer.ask(app).body, ANSWER_WITHIN)
    answered = time.monotonic()
    spent = {name: seconds - before.get(name, 0.0) for name, seconds in phases(developer).items()}
    inside = sum(spent.values())
    return {**spent, "receive": max(pushed - started - inside, 0.0), "answer": answered - pushed}


def phases(developer: Developer) -> dict[str, float]:
    """The builder's counters."""
    url = f"http://127.0.0.1:{developer.platform.builder_http_port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return {name: float(value) for name, value in PHASE.findall(answer.read().decode())}
