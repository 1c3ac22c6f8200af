"""Drains: every line of an app to somewhere else as well, as far as that side keeps up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from logger.delivery import Delivery, NotDelivered, Unwanted, delivery_to
from logger.inbox import Inbox
from logger.lines import STAMP, now
from logger.search import Filter, newest
from logger.state import State

log = logging.getLogger(__name__)

MOST_WAITING = 10_000  # lines a drain may be behind …
MOST_BYTES = 2 * 1024 * 1024  # … and bytes; the oldest go first, and are counted
BATCH, BATCH_BYTES = 500, 256 * 1024
GATHER = 0.5  # seconds in which lines become a batch
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between tries
TELL = 60.0  # seconds between words about one drain's trouble


class Drain:
    """One of them: what waits, and the task that delivers it."""

    def __init__(self, app: str, entry: dict[str, Any], delivery: Delivery, inbox: Inbox) -> None:
        self.app, self.id, self.entry = app, entry["id"], entry
        self._delivery, self._inbox = delivery, inbox
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._told = 0.0
        self._woken = asyncio.Event()
        self.delivered = now()  # the time of the newest line that was taken
        self.state = "waiting"

    def take(self, lines: list[bytes]) -> None:
        self._waiting.extend(lines)
        self._size += sum(map(len, lines))
        while len(self._waiting) > MOST_WAITING or self._size > MOST_BYTES:
            self._size -= len(self._waiting.popleft())
            self._dropped += 1
        self._woken.set()

    async def run(self) -> None:
        pause = FIRST_PAUSE
        try:
            while True:
                await self._woken.wait()
                await asyncio.sleep(GATHER)
                while batch := self._batch():
                    try:
                        await self._delivery.deliver(self.app, batch)
                    except NotDelivered as exc:
                        self.state = f"not delivered: {exc}"
                        self._tell(f"a drain does not take lines, they wait: {exc}")
                        self._put_back(batch)
                        await asyncio.sleep(pause)
                        pause = min(pause * 2, LONGEST_PAUSE)
                        continue
                    except Unwanted as exc:
                        self.state = f"refused: {exc}"
                        self._dropped += len(batch)
                        self._tell(f"a drain refuses lines: {exc}")
                    else:
                        self.state, pause = "delivering", FIRST_PAUSE
                    self.delivered = max(self.delivered, batch[-1][:STAMP])
                    self._tell_dropped()
                self._woken.clear()
        finally:
            self._delivery.close()

    def _batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        while self._waiting and len(batch) < BATCH and size < BATCH_BYTES:
            line = self._waiting.popleft()
            size += len(line)
            batch.append(line)
        self._size -= size
        return batch

    def _put_back(self, batch: list[bytes]) -> None:
        self._waiting.extendleft(reversed(batch))
        self._size += sum(map(len, batch))

    def _tell(self, text: str) -> None:
        if time.monotonic() - self._told > TELL:
            self._told = time.monotonic()
            self._inbox.say(self.app, f"WARN {text} (drain {self.id})".encode())

    def _tell_dropped(self) -> None:
        if self._dropped:
            count, self._dropped = self._dropped, 0
            self._inbox.say(self.app, f"WARN {count} lines were not taken to drain {self.id}".encode())

    def status(self) -> dict[str, Any]:
        return {"id": self.id, "app": self.app, "state": self.state, "waiting": len(self._waiting)}


class Drains:
    def __init__(self, state: State, inbox: Inbox, folder: Callable[[str], Path]) -> None:
        self._state, self._inbox, self._folder = state, inbox, folder
        self._drains: dict[str, Drain] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        inbox.listeners.append(self._pass_on)

    def _pass_on(self, app: str, lines: list[bytes]) -> None:
        for drain in self._drains.values():
            if drain.app == app:
                drain.take(lines)

    def refresh(self, apps: dict[str, dict[str, Any]]) -> None:
        """Makes the drains those of `apps`."""
        wished = {entry["id"]: (name, entry) for name, app in apps.items() for entry in app.get("drains") or ()}
        for key in list(self._drains):
            if key not in wished or wished[key][1] != self._drains[key].entry:
                self._tasks.pop(key).cancel()
                del self._drains[key]
        for key in self._state.drains.keys() - wished.keys():
            del self._state.drains[key]
        for key, (name, entry) in wished.items():
            if key not in self._drains:
                self._begin(name, entry)

    def _begin(self, app: str, entry: dict[str, Any]) -> None:
        delivery = delivery_to(entry["url"], local=bool(entry.get("local")))
        drain = self._drains[entry["id"]] = Drain(app, entry, delivery, self._inbox)
        if since := self._state.drains.get(drain.id, "").encode():
            missed = newest(self._folder(app), Filter(since=since), MOST_WAITING)
            drain.delivered = since
            drain.take([line for line in missed if line[:STAMP] > since])
        self._tasks[drain.id] = asyncio.get_running_loop().create_task(drain.run(), name=f"drain {drain.id}")

    def note_positions(self) -> None:
        for drain in self._drains.values():
            self._state.drains[drain.id] = drain.delivered.decode()

    def status(self) -> list[dict[str, Any]]:
        return [drain.status() for drain in self._drains.values()]

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
