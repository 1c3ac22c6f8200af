"""How much of the node's disks and memory is left, and from where on that is too little."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Set
from pathlib import Path
from typing import NamedTuple

FULL = 0.95  # of a file system's bytes or files: pods are evicted, and no new ones taken
LEAST_MEMORY = 100 * 2**20  # bytes available, as Kubernetes has it
TRANSITION = 300.0  # seconds a pressure goes on being told after it ended, so that it doesn't come and go
MEMINFO = Path("/proc/meminfo")


class Signals(NamedTuple):
    disk: float  # share in use of the fullest file system, by bytes or by files
    memory: int  # bytes available


def read_signals(folders: Iterable[Path]) -> Signals:
    """Of the file systems that hold `folders`, and of this machine's memory."""
    return Signals(disk_use(folders), available_memory(MEMINFO.read_text()))


def disk_use(folders: Iterable[Path]) -> float:
    """The share in use of the fullest of their file systems, 0 to 1; 0 of folders that can't be seen from here."""
    return max((share_in_use(folder) for folder in folders), default=0.0)


def share_in_use(folder: Path) -> float:
    try:
        figures = os.statvfs(folder)
    except OSError:
        return 0.0
    space = 1 - figures.f_bavail / figures.f_blocks if figures.f_blocks else 0.0
    files = 1 - figures.f_favail / figures.f_files if figures.f_files else 0.0
    return max(space, files)


def available_memory(meminfo: str) -> int:
    for line in meminfo.splitlines():
        name, _, figure = line.partition(":")
        if name == "MemAvailable":
            return int(figure.split()[0]) * 1024
    return LEAST_MEMORY * 2


class Pressures:
    """Which conditions hold, with the patience before one is taken back."""

    def __init__(self, clock: Callable[[], float], *, transition: float = TRANSITION) -> None:
        self._clock, self._transition = clock, transition
        self._seen: dict[str, float] = {}

    def take(self, signals: Signals) -> Set[str]:
        now = self._clock()
        for kind, holds in (("DiskPressure", signals.disk >= FULL), ("MemoryPressure", signals.memory < LEAST_MEMORY)):
            if holds:
                self._seen[kind] = now
        return {kind for kind, moment in self._seen.items() if now - moment < self._transition}
