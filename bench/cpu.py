"""CPU seconds of programs, which tell what work costs on a machine that does other things at the same time.

What runs in containers isn't counted: it is nobody's child here.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
ENGINE_PID = Path("/var/run/docker.pid")


def spent(processes: Iterable[int]) -> float:
    """Of `processes` and of children they have waited for; one that is gone counts nothing."""
    return sum(map(of_process, processes))


def of_process(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(clock_of(pid)) + (int(fields[13]) + int(fields[14])) / TICK
    return 0.0


def clock_of(pid: int) -> int:
    """The clock of a process' CPU time, threads that have ended included (clock_getcpuclockid of the C library)."""
    return (~pid << 3) | 2


def of_call(action: Callable[[], object], processes: Iterable[int]) -> float:
    """CPU seconds of `action`: of the programs it starts, and of `processes` meanwhile."""
    before, others = children(), spent(processes)
    action()
    return children() - before + spent(processes) - others


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def engine() -> list[int]:
    """The machine's Docker Engine and the containerd it started; everything that uses the engine shares them."""
    with suppress(OSError, ValueError):
        main = int(ENGINE_PID.read_text())
        return [main, *map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())]
    return []
