"""`python -m logger`: collects, keeps and hands out every app's lines until TERM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from logger.access import load_access
from logger.collector import Collector
from logger.directory import Directory
from logger.drains import Drains
from logger.errors import LoggerError
from logger.inbox import Inbox, pack_what_was_left
from logger.intake import Intake
from logger.kubernetes import Kubernetes
from logger.router_log import RouterLog
from logger.server import Server
from logger.settings import Settings, load_from_environment
from logger.state import State
from logger.store import AppLog

log = logging.getLogger("logger")

SAVE = 1.0  # seconds between saves of the state
TRIM = 30.0  # seconds between returns of unused memory
FORGET = 3600.0  # seconds between looks for folders of apps that are gone


class JSONLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        line = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class Program:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data / "apps"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._open: dict[str, AppLog] = {}
        self.state = State(settings.data / "state.json")
        self.inbox = Inbox(self.log_of, lambda app: self.directory.retention(app), settings.rate)
        self.directory = Directory(settings, self.state, self.inbox, self.log_of)
        self.drains = Drains(self.state, self.inbox, self.folder_of)
        self.collector = Collector(Kubernetes(load_access(settings.kubeconfig)), self.inbox, self.log_of)

    def folder_of(self, app: str) -> Path:
        return self._folder / app

    def log_of(self, app: str) -> AppLog:
        if app not in self._open:
            self._open[app] = AppLog.open(self.folder_of(app))
        return self._open[app]

    def is_known(self, app: str) -> bool:
        return app in self.directory.apps

    def status(self) -> dict[str, Any]:
        return {"synced": self.collector.synced, "apps": len(self.directory.apps), "drains": self.drains.status()}

    async def run(self) -> None:
        """Until TERM or Ctrl-C; then what waits is written."""
        for folder in self._folder.iterdir():
            pack_what_was_left(self.log_of(folder.name))
        self.directory.on_change = lambda: self.drains.refresh(self.directory.apps)
        self.drains.refresh(self.directory.apps)
        settings, door = self._settings, self._settings.door()
        works: list[Coroutine[Any, Any, None]] = [
            self.inbox.run(),
            self.directory.run(),
            self.collector.run(),
            Intake(settings.intake, self.inbox, self.directory.nudge, self.is_known, door).run(),
            Server(settings.listen, self.folder_of, self.inbox, self.status, self.directory.caught_up, door).run(),
            self._upkeep(),
        ]
        if settings.router_log is not None:
            works.append(RouterLog(settings.router_log, self.state, self.inbox, self.is_known).run())
        tasks = [asyncio.create_task(work) for work in works]
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        waiting: asyncio.Task[Any] = asyncio.create_task(stopping.wait())
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.drains.close()
        self._save()
        for task in done - {waiting}:
            task.result()

    async def _upkeep(self) -> None:
        next_look, next_trim, trim = time.monotonic() + FORGET, time.monotonic() + TRIM, memory_trimmer()
        while True:
            await asyncio.sleep(SAVE)
            self._save()
            if time.monotonic() >= next_trim:
                next_trim = time.monotonic() + TRIM
                trim()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + FORGET
                await asyncio.to_thread(self._forget_gone)

    def _save(self) -> None:
        self.drains.note_positions()
        with contextlib.suppress(OSError):
            self.state.save()

    def _forget_gone(self) -> None:
        """Removes what is left of apps that were destroyed."""
        if not self.state.directory:
            return
        for folder in self._folder.iterdir():
            if not self.is_known(folder.name) and time.time() - folder.stat().st_mtime > FORGET:
                self._open.pop(folder.name, None)
                shutil.rmtree(folder, ignore_errors=True)


def memory_trimmer() -> Callable[[], object]:
    """What gives memory that a flood took back to the system, where the C library can."""
    import ctypes

    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return lambda: None
    return lambda: trim(0)


def main() -> int:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JSONLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        settings = load_from_environment()
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        asyncio.run(Program(settings).run())
    except LoggerError as exc:
        log.error("%s", exc)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
