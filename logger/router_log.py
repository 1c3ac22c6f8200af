"""Requests, out of the router's access.log: a JSON line each, of the apps that we know."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path

from logger.inbox import Inbox
from logger.lines import cleaned, compose, now
from logger.state import State

log = logging.getLogger(__name__)

LOOK = 0.5  # seconds between looks at the file
MOST_AT_ONCE = 4 * 1024 * 1024  # bytes of one look
MOST_LINES = 250  # of one app in one look; the others are counted
APP = b'"app":"'
SOURCE = b"deis[router]"


class RouterLog:
    def __init__(self, path: Path, state: State, inbox: Inbox, known: Callable[[str], bool]) -> None:
        self._path, self._state, self._inbox, self._known = path, state, inbox, known

    async def run(self) -> None:
        while True:
            try:
                more = self._look()
                while more:
                    await asyncio.sleep(0)
                    more = self._look()
            except FileNotFoundError:
                self._state.router = [-1, 0]  # when it comes, all of it is new
            except OSError as exc:
                log.warning("the router's log can't be read: %s", exc)
            await asyncio.sleep(LOOK)

    def _look(self) -> bool:
        """Takes what was added; whether there may be more. The file is emptied in place when it grew too large."""
        status = self._path.stat()
        inode, offset = self._state.router
        if inode != status.st_ino or offset > status.st_size:
            offset = 0 if inode else status.st_size  # at the very first look the past is let be
        if offset == status.st_size:
            self._state.router = [status.st_ino, offset]
            return False
        with self._path.open("rb") as file:
            file.seek(offset)
            data = file.read(MOST_AT_ONCE)
        whole = data[: data.rfind(b"\n") + 1]
        self._take(whole.split(b"\n"))
        self._state.router = [status.st_ino, offset + len(whole)]
        return len(data) == MOST_AT_ONCE and bool(whole)

    def _take(self, lines: list[bytes]) -> None:
        counts: dict[bytes, int] = {}
        taken: dict[str, list[bytes]] = {}
        for raw in lines:
            start = raw.find(APP) + len(APP)
            name = raw[start : raw.find(b'"', start)] if start >= len(APP) else b""
            if not name:
                continue
            counts[name] = counts.get(name, 0) + 1
            app = name.decode("utf-8", "replace")
            if counts[name] <= MOST_LINES and self._known(app) and (text := describe(raw)):
                taken.setdefault(app, []).append(compose(now(), SOURCE, cleaned(text.encode())))
        for app, texts in taken.items():
            allowed = self._inbox.allowance(app, len(texts))
            self._inbox.add(app, texts[:allowed])
            left_out = counts[app.encode()] - len(texts)
            if left_out > 0:
                self._inbox.add(app, [compose(now(), SOURCE, b"WARN %d more requests, not listed" % left_out)])


def describe(raw: bytes) -> str:
    """A request in the words Heroku's users know; empty when the line can't be read."""
    try:
        entry = json.loads(raw)
        status = int(entry["status"])
        fields = {
            "at": "error" if status >= 500 else "info",
            "method": entry["method"],
            "path": json.dumps(entry["path"], ensure_ascii=False),
            "host": entry["host"],
            "request_id": entry.get("request_id", ""),
            "fwd": f'"{entry.get("client", "")}"',
            "service": f"{round(float(entry['duration']) * 1000)}ms",
            "status": status,
            "bytes": entry["bytes"],
        }
    except (ValueError, KeyError, TypeError):
        return ""
    return " ".join(f"{key}={value}" for key, value in fields.items())
