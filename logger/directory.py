"""What the controller knows and we need: which apps there are, their retention and drains, and its own events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from logger.errors import Refused
from logger.http import refuse_unless_ok, request
from logger.inbox import Inbox
from logger.lines import cleaned, compose, normal_stamp
from logger.settings import MIB, Settings
from logger.state import State
from logger.store import AppLog, Position, Retention

log = logging.getLogger(__name__)

LOOK = 15.0  # seconds between looks that nobody asked for
CATCH_UP = 1.5  # seconds a reader waits at most for events it knows of
AFTER_NUDGE = 0.02  # seconds in which nudges are gathered
CONTROLLER = b"deis[controller]"


class Directory:
    def __init__(self, settings: Settings, state: State, inbox: Inbox, logs: Callable[[str], AppLog]) -> None:
        self._settings, self._state, self._inbox, self._logs = settings, state, inbox, logs
        self._nudged = asyncio.Event()
        self._moved = asyncio.Event()
        self._first = True
        self._key = Path(settings.builder_key_file).read_text().strip()
        self.on_change: Callable[[], None] = lambda: None

    @property
    def apps(self) -> dict[str, dict[str, Any]]:
        """By name: `uuid`, `days`, `megabytes` (None: the platform's), `drains` (`id`, `url`, `local`)."""
        apps: dict[str, dict[str, Any]] = self._state.directory.get("apps", {})
        return apps

    def retention(self, app: str) -> Retention:
        """An app may keep less than the platform allows."""
        own, most = self.apps.get(app) or {}, self._settings
        days, megabytes = own.get("days") or most.days, own.get("megabytes")
        return Retention(min(days, most.days), min(megabytes * MIB if megabytes else most.bytes, most.bytes))

    def nudge(self) -> None:
        self._nudged.set()

    async def caught_up(self, number: int) -> None:
        """Returns once the controller's event `number` is here: who has just done something sees it. Not for long."""
        if self._state.events_after >= number:
            return
        self.nudge()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP):
                while self._state.events_after < number:
                    self._moved.clear()
                    await self._moved.wait()

    async def run(self) -> None:
        while True:
            try:
                while await self._look():
                    continue
            except (OSError, TimeoutError, Refused, ValueError, KeyError) as exc:
                log.info("the controller can't be asked: %s", exc)
            try:
                async with asyncio.timeout(LOOK):
                    await self._nudged.wait()
                await asyncio.sleep(AFTER_NUDGE)
            except TimeoutError:
                pass
            self._nudged.clear()

    async def _look(self) -> bool:
        """Takes what is new; whether there is more."""
        url = urlsplit(self._settings.controller_url)
        query = {"after": self._state.events_after, "digest": self._state.directory.get("digest", "")}
        headers = [("X-Deis-Builder-Auth", self._key), ("Accept", "application/json")]
        target = f"/v2/hooks/logs/?{urlencode(query)}"
        async with request(url.hostname or "", url.port or 80, None, "GET", target, headers) as answer:
            await refuse_unless_ok(answer)
            document = json.loads(await answer.body())
        if document.get("apps") is not None:
            self._take_apps(document)
        for event in document["events"]:
            self._take_event(event)
        await self._inbox.flush()
        self._state.events_after, self._first = document["last"], False
        self._moved.set()
        return bool(document["more"])

    def _take_apps(self, document: dict[str, Any]) -> None:
        before, self._state.directory = self.apps, {"apps": document["apps"], "digest": document["digest"]}
        for name, app in before.items():
            if app["uuid"] != (self.apps.get(name) or {}).get("uuid"):
                self._logs(name).clear()
        self.on_change()

    def _take_event(self, event: dict[str, Any]) -> None:
        app, stamp = event["app"], normal_stamp(event["time"].encode())
        if stamp is None:
            return
        known = self._logs(app).positions.get(CONTROLLER)
        if self._first and known is not None and stamp <= known.stamp:
            return  # written before we were killed, which left no time to save how far we were
        text = cleaned(f"{event['level']} {event['message']}".encode())
        self._inbox.add(app, [compose(stamp, CONTROLLER, text)], {CONTROLLER: Position(stamp)})
