"""A container's host name, set from outside.

The engine gives a container that shares another's network that one's host name and allows no other. So the agent
enters its UTS namespace and sets the pod's: between the moment the runtime has prepared the container's first process
and the moment it lets it go, a few milliseconds in which the name is already there and nobody has read it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

CLONE_NEWUTS = 0x04000000
FIRST_LOOK = 0.015  # seconds; no start gets that far sooner
POLL = 0.002  # seconds between looks for the process; the window is 5 to 20 ms wide
LONGEST_WATCH = 30.0  # seconds a start may take before the watch gives up
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


class HostnameSetter:
    """Watches for a container that is about to start, on a thread, and names it before it runs."""

    def __init__(self, container_id: str, hostname: str) -> None:
        self._lists, self._hostname = process_lists(container_id), hostname
        self._ended = threading.Event()
        self._named = False
        self._watch: asyncio.Future[None] | None = None

    def start(self) -> None:
        if self._hostname:
            self._watch = asyncio.ensure_future(asyncio.to_thread(self._run))

    async def stop(self) -> bool:
        """True when there was nothing to do or it is done."""
        self._ended.set()
        if self._watch is None:
            return True
        await self._watch
        return self._named

    def _run(self) -> None:
        own = socket.gethostname()
        self._ended.wait(FIRST_LOOK)
        for _ in range(int(LONGEST_WATCH / POLL)):
            pid = first_process(self._lists)
            if pid and self._name(pid, own):
                self._named = True
                return
            if self._ended.wait(POLL):
                return

    def _name(self, pid: int, own: str) -> bool:
        """True once the runtime's own name was found and replaced."""
        try:
            return replace_hostname(pid, self._hostname, unless=own)
        except OSError:
            return False  # it has ended, or has no namespace yet


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


def set_hostname(pid: int, hostname: str) -> None:
    """Names the machine that `pid` sees. Blocks shortly: run it on a thread. Raises: OSError."""
    replace_hostname(pid, hostname, unless="")


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
