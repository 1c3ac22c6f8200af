"""Runs the Distribution server, and collects what nobody keeps when it is asked to (`registry/admin.py`).

The server can't sweep while it takes pushes: a layer that a push finds there could be swept before the push ends.
So for the seconds of a sweep a second one, configured to refuse writes, answers in its place.

The main thread alone starts and ends servers: each is bound to die with the thread that started it.
"""

from __future__ import annotations

import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry import images
from registry.settings import server_environment
from registry.store import Store

DIE_WITH_US = ("setpriv", "--pdeathsig", "TERM")
STOP_PATIENCE = 15.0  # seconds; the server lets transfers go on for 10 (draintimeout)
TIDY_EVERY = 60.0  # seconds
BROKEN_OFF = 600.0  # seconds without a byte after which an upload is given up: a disk that was full needs its room
EVENTS = {signal.SIGTERM: "stop", signal.SIGINT: "stop", signal.SIGCHLD: "child"}
PATIENCE = 1800.0  # seconds for a whole collection


@dataclass(frozen=True)
class Wish:
    """What a collection keeps."""

    keep: dict[str, list[str]]  # repository → digests
    older_than: float  # seconds; what was pushed later stays
    dry_run: bool


class Keeper:
    def __init__(self, binary: str, data: Path, store: Store) -> None:
        self._binary, self._data, self._store = binary, data, store
        self._events: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._server: subprocess.Popen[bytes] | None = None

    def run(self, listen: Callable[[], None]) -> int:
        """Until SIGTERM, or until the server ends by itself: its exit status. `listen` starts who calls `collect`."""
        self._hear_signals()
        self._start("config.yml")
        listen()
        while True:
            try:
                kind, wanted = self._events.get(timeout=TIDY_EVERY)
            except queue.Empty:
                self._store.drop_uploads(time.time() - BROKEN_OFF)
                continue
            if kind == "stop":
                self._stop()
                return 0
            if kind == "child" and self._server and self._server.poll() is not None:
                return self._server.returncode or 1
            if kind == "collect":
                self._answer(*wanted)

    def _hear_signals(self) -> None:
        """Signals become events by a pipe: what a handler does has to wait while the main thread does, for as long as
        that waits when the signal came just before.
        """
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        for number in EVENTS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writer.detach())
        threading.Thread(target=self._pass_on_signals, args=(reader,), name="signals", daemon=True).start()

    def _pass_on_signals(self, reader: socket.socket) -> None:
        while numbers := reader.recv(64):
            for number in numbers:
                self._events.put((EVENTS[signal.Signals(number)], None))

    def collect(self, wish: Wish) -> dict[str, Any]:
        """From any thread. Raises: RegistryError, OSError, TimeoutError."""
        answer: Future[dict[str, Any]] = Future()
        self._events.put(("collect", (wish, answer)))
        return answer.result(PATIENCE)

    def _answer(self, wish: Wish, answer: Future[dict[str, Any]]) -> None:
        try:
            answer.set_result(self.collect_now(wish))
        except Exception as exc:
            answer.set_exception(exc)

    def collect_now(self, wish: Wish) -> dict[str, Any]:
        """From the thread that starts and ends servers. Raises: RegistryError, OSError."""
        before = time.time() - wish.older_than
        contents = images.Contents(self._store)
        found = images.unkept(contents, wish.keep, before)
        report: dict[str, Any] = {
            "images": [{"app": one.repository, "digest": one.digest, "bytes": one.size} for one in found],
            "freed": None,
        }
        broken_off = any(images.dead_uploads(*one, before) for one in contents.repositories.items())
        if wish.dry_run or not (found or broken_off):
            return report
        self._stop()
        self._start("read-only.yml")
        try:
            now = images.Contents(self._store)
            folders = images.folders_to_remove(now, images.unkept(now, wish.keep, before), before)
            self._store.remove(folders)
        finally:
            self._stop()
            self._start("config.yml")  # with an empty memory of which blobs there are
        report["freed"] = now.bytes_in(folders)
        return report

    def _start(self, config: str) -> None:
        command = [*DIE_WITH_US, self._binary, "serve", str(self._data / config)]
        self._server = subprocess.Popen(command, env=server_environment())

    def _stop(self) -> None:
        server = self._server
        if server is None:
            return
        server.terminate()
        try:
            server.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
