"""Memory of all platform processes while idle, without Docker's own: proportional set size, which counts shared
pages once (Linux, /proc/PID/smaps_rollup)."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from bench.platform import running_platform
from bench.report import Row
from host import orphans

BAR = 450.0  # MB
ENGINE = {"docker-engine"}


def measure() -> list[Row]:
    platform = running_platform()
    by_program: dict[str, float] = defaultdict(float)
    for process in orphans.find(platform.home):
        by_program[process.program] += _pss(process.pid)
    by_program["router-proxy"] += sum(_pss(pid) for pid in _proxy(platform.home))
    supervisor = int((platform.home / "run" / "supervisord.pid").read_text())
    by_program["supervisord"] = _pss(supervisor)
    ours = {name: size for name, size in by_program.items() if name not in ENGINE}
    rows = [Row(f"idle memory: {name}", size, "MB") for name, size in sorted(ours.items())]
    return [*rows, Row("idle memory: all platform processes", sum(ours.values()), "MB", "bar", BAR)]


def _proxy(home: Path) -> list[int]:
    """nginx's master and workers, which clear their environment."""
    master = int((home / "router" / "nginx.pid").read_text())
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return [master, *map(int, children)]


def _pss(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.M)
    return int(found[1]) / 1000 if found else 0.0
