"""A container's host name, set from outside.

The engine gives a container that shares another's network that one's host name and allows no other. So the agent
enters its UTS namespace and sets the pod's: between the moment the runtime has prepared the container's first process
and the moment it lets it go, a few milliseconds in which the name is already there and nobody has read it.

Looking costs microseconds, waking a thread to look costs fifty: so the event loop looks, for all that start at once.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWUTS = 0x04000000
FIRST_LOOK = 0.015  # seconds; no start gets that far sooner
POLL = 0.002  # seconds between looks for the process; the window is 5 to 20 ms wide
CGROUPS = Path("/sys/fs/cgroup")
_libc = ctypes.CDLL(None, use_errno=True)


def process_lists(container_id: str, root: Path = CGROUPS) -> list[str]:
    """Where the processes of a container will be listed: cgroup version 1, version 2, and its systemd form."""
    lists = []
    for folder in (root / "pids" / "docker", root / "docker"):
        if folder.is_dir():
            lists.append(str(folder / container_id / "cgroup.procs"))
    if not lists:
        lists = [
            str(root / "docker" / container_id / "cgroup.procs"),
            str(root / "system.slice" / f"docker-{container_id}.scope" / "cgroup.procs"),
        ]
    return lists


def list_of_process(cgroups: str, root: Path = CGROUPS) -> str:
    """Where a process is listed whose /proc/PID/cgroup says `cgroups`; empty when that can't be told."""
    paths = {kinds: path for _, kinds, path in (line.split(":", 2) for line in cgroups.splitlines())}
    for kinds, folder in (("pids", root / "pids"), ("", root)):
        if kinds in paths:
            return f"{folder}{paths[kinds]}/cgroup.procs"
    return ""


class Naming:
    """One container that is about to start."""

    def __init__(self, lists: Sequence[str], hostname: str, first_look: float) -> None:
        self.lists, self.hostname, self.first_look = lists, hostname, first_look
        self.done = not hostname

    def look(self, own: str) -> None:
        """Names it, if the runtime has got so far; `own` is this machine's name."""
        try:
            pid = first_process(self.lists)
            self.done = bool(pid) and replace_hostname(pid, self.hostname, unless=own)
        except OSError:
            pass  # it has ended, or has no namespace yet


class Hostnames:
    """Watches for containers that are about to start, and names each before it runs."""

    def __init__(self) -> None:
        self._starting: dict[str, Naming] = {}
        self._looking: asyncio.TimerHandle | None = None
        self._elsewhere = ""  # where an engine with a cgroup parent of its own lists processes; {} for the container

    @contextmanager
    def naming(self, container_id: str, hostname: str) -> Iterator[Naming]:
        """Around the start; afterwards `done` says whether it has its name, or needs none."""
        loop = asyncio.get_running_loop()
        elsewhere = [self._elsewhere.replace("{}", container_id)] if self._elsewhere else []
        naming = Naming(elsewhere or process_lists(container_id), hostname, loop.time() + FIRST_LOOK)
        if naming.done:
            yield naming
            return
        self._starting[container_id] = naming
        if self._looking is None:
            self._looking = loop.call_later(FIRST_LOOK, self._look)
        try:
            yield naming
        finally:
            del self._starting[container_id]

    def _look(self) -> None:
        loop, own = asyncio.get_running_loop(), socket.gethostname()
        for naming in self._starting.values():
            if not naming.done and naming.first_look <= loop.time():
                naming.look(own)
        waiting = any(not naming.done for naming in self._starting.values())
        self._looking = loop.call_later(POLL, self._look) if waiting else None

    def name_late(self, container_id: str, pid: int, hostname: str) -> None:
        """Names a container that runs already, and learns where to look for the next. Raises: OSError."""
        with open(f"/proc/{pid}/cgroup") as handle:
            found = list_of_process(handle.read())
        if container_id in found and found not in process_lists(container_id):
            self._elsewhere = found.replace(container_id, "{}")
        replace_hostname(pid, hostname, unless="")


def first_process(lists: Sequence[str]) -> int:
    for path in lists:
        try:
            with open(path, "rb") as handle:
                words = handle.read().split()
        except OSError:
            continue
        if words:
            return int(words[0])
    return 0


def replace_hostname(pid: int, hostname: str, *, unless: str) -> bool:
    """False when `pid` shares our own namespace, or still has the name `unless`, which a new namespace starts with."""
    with open("/proc/thread-self/ns/uts", "rb") as own, open(f"/proc/{pid}/ns/uts", "rb") as theirs:
        if os.fstat(own.fileno()).st_ino == os.fstat(theirs.fileno()).st_ino:
            return False
        _enter(theirs.fileno())
        try:
            if socket.gethostname() == unless:
                return False
            socket.sethostname(hostname)
            return True
        finally:
            _enter(own.fileno())


def _enter(handle: int) -> None:
    if _libc.setns(handle, CLONE_NEWUTS) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"can't enter a UTS namespace: {os.strerror(code)}")
