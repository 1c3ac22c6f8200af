"""What a container uses, read from its cgroup (version 1 or 2): cheaper than asking the engine."""

from __future__ import annotations

from pathlib import Path

from orchestrator.kubelet.runtime import Usage

CGROUPS = Path("/sys/fs/cgroup")


def cgroup_paths(listing: str) -> dict[str, str]:
    """Controller → path, out of `/proc/PID/cgroup`; the key "" is the unified hierarchy."""
    paths = {}
    for line in listing.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def read_usage(pid: int, *, root: Path = CGROUPS, proc: Path = Path("/proc")) -> Usage | None:
    """None when the process has gone."""
    try:
        paths = cgroup_paths((proc / str(pid) / "cgroup").read_text())
        if "memory" in paths:
            memory, cpu = root / "memory" / paths["memory"].lstrip("/"), root / "cpuacct" / paths["cpuacct"].lstrip("/")
            used = int((memory / "memory.usage_in_bytes").read_text())
            inactive = figure((memory / "memory.stat").read_text(), "total_inactive_file")
            spent = int((cpu / "cpuacct.usage").read_text())
        else:
            folder = root / paths[""].lstrip("/")
            used = int((folder / "memory.current").read_text())
            inactive = figure((folder / "memory.stat").read_text(), "inactive_file")
            spent = figure((folder / "cpu.stat").read_text(), "usage_usec") * 1000
    except (OSError, KeyError, ValueError):
        return None
    return Usage(cpu_nanoseconds=spent, memory_usage=used, memory_working_set=max(used - inactive, 0))


def figure(table: str, name: str) -> int:
    """The number beside `name` in a `name number` table; 0 when it has no such row."""
    for line in table.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
