"""Processes that a killed supervisor left behind: found by the marks in their environment, ended by pid."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

KEPT = {"router-proxy"}  # the proxy carries traffic; its launcher finds and adopts it
RETITLED = {"nginx: master": ("router-proxy", "nginx"), "redis-server": ("redis", "redis-server")}
GRACE = 12.0  # seconds between TERM and KILL


@dataclass(frozen=True)
class Orphan:
    pid: int
    program: str
    executable: str


def find(home: Path) -> list[Orphan]:
    """Every process of this instance that was started as a supervised program, or by one."""
    found = []
    here = os.readlink("/proc/self/ns/pid")  # a container's platform may have a folder of the same name
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        if not _lives_in(entry, here):
            continue
        if retitled := _retitled(entry, home):
            found.append(Orphan(int(entry.name), *retitled))
            continue
        try:
            environment = dict(
                pair.split("=", 1)
                for pair in (entry / "environ").read_text(errors="replace").split("\0")
                if "=" in pair
            )
            executable = os.path.basename(os.readlink(entry / "exe"))
        except OSError:
            continue
        program = environment.get("SUPERVISOR_PROCESS_NAME")
        if program and environment.get("PAAS_HOME") == str(home):
            found.append(Orphan(int(entry.name), program, executable))
    return found


def _lives_in(process: Path, namespace: str) -> bool:
    try:
        return os.readlink(process / "ns" / "pid") == namespace
    except OSError:
        return False


def _retitled(process: Path, home: Path) -> tuple[str, str] | None:
    """(program, executable) of a process that overwrites its environment but shows the instance's folder."""
    try:
        command = (process / "cmdline").read_text(errors="replace")
    except OSError:
        return None
    for title, found in RETITLED.items():
        if command.startswith(title) and f"{home}/" in command:
            return found
    return None


def end(home: Path, *, everything: bool = False) -> list[Orphan]:
    """TERM, then KILL what is left. nginx and containers' shims live on unless `everything` is asked for."""
    doomed = [orphan for orphan in find(home) if orphan.executable not in _survivors(everything)]
    doomed = [orphan for orphan in doomed if orphan.program != "guardian"]
    for orphan in doomed:
        _signal(orphan.pid, signal.SIGKILL if orphan.program in KEPT and not everything else signal.SIGTERM)
    deadline = time.monotonic() + GRACE
    while any(Path(f"/proc/{orphan.pid}").exists() for orphan in doomed) and time.monotonic() < deadline:
        time.sleep(0.1)
    for orphan in doomed:
        _signal(orphan.pid, signal.SIGKILL)
    return doomed


def _survivors(everything: bool) -> set[str]:
    return set() if everything else {"nginx", "containerd-shim-runc-v2", "containerd-shim"}


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
