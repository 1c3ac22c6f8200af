"""What readers ask, over HTTP: on a unix socket that only this host's programs can open, or by key (`places.py`).

`GET /apps/APP?lines=&since=&until=&ps=&source=&grep=` answers text; with `follow=1` it goes on as lines come, and an
empty line now and then says that it stands. `events=N` first waits a moment for the controller's event N.
`GET /status` tells how the store is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from logger.errors import BadQuery
from logger.inbox import Inbox
from logger.lines import compose, now, shown
from logger.places import OPEN, Address, Door
from logger.search import Filter, filter_of, lines_of, newest

log = logging.getLogger(__name__)

HEARTBEAT = 15.0  # seconds
PATIENCE = 30.0  # seconds for a request's head
MOST_WAITING = 5000  # lines a slow reader may be behind; what is more is left out, and counted
MOST_SEARCHES = 4  # at a time
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class Follower:
    """A reader that goes on: lines wait in its queue."""

    def __init__(self, app: str, wanted: Filter) -> None:
        self.app, self.wanted = app, wanted
        self.waiting: list[bytes] = []
        self.missed = 0
        self.woken = asyncio.Event()

    def take(self, lines: list[bytes]) -> None:
        fresh = [line for line in lines if self.wanted.wants(line)]
        room = MOST_WAITING - len(self.waiting)
        self.waiting += fresh[:room]
        self.missed += max(len(fresh) - room, 0)
        if fresh:
            self.woken.set()

    def text(self) -> bytes:
        lines, self.waiting = self.waiting, []
        missed, self.missed = self.missed, 0
        self.woken.clear()
        if missed:
            notice = b"WARN %d lines left out: they came faster than you read" % missed
            lines.append(compose(now(), b"deis[logger]", notice))
        return b"".join(map(shown, lines))


class Server:
    def __init__(
        self,
        place: Path | Address,
        folder: Callable[[str], Path],
        inbox: Inbox,
        status: Callable[[], dict[str, Any]],
        caught_up: Callable[[int], Awaitable[None]],
        door: Door = OPEN,
    ) -> None:
        self._place, self._door, self._folder, self._inbox, self._status = place, door, folder, inbox, status
        self._caught_up = caught_up
        self._followers: set[Follower] = set()
        self._searches = asyncio.Semaphore(MOST_SEARCHES)
        inbox.listeners.append(self._pass_on)

    async def run(self) -> None:
        async with await self._listen() as server:
            await server.serve_forever()

    async def _listen(self) -> asyncio.Server:
        if isinstance(self._place, Address):
            return await asyncio.start_server(self._serve, self._place.host, self._place.port)
        with contextlib.suppress(FileNotFoundError):
            self._place.unlink()
        server = await asyncio.start_unix_server(self._serve, str(self._place))
        os.chmod(self._place, 0o600)
        return server

    def _pass_on(self, app: str, lines: list[bytes]) -> None:
        for follower in self._followers:
            if follower.app == app:
                follower.take(lines)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            target = head.split(" ", 2)[1]
            if target == "/healthz":
                await _send(writer, 200, b"ok\n")
            elif not self._door.opens_to_head(head):
                await _send(writer, 401, b"the builder's key is needed\n")
            else:
                await self._answer(target, reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, IndexError) as exc:
            log.debug("a reader left: %s", exc)
        finally:
            writer.close()

    async def _answer(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        url = urlsplit(target)
        query = dict(parse_qsl(url.query))
        app = unquote(url.path.removeprefix("/apps/"))
        if url.path == "/status":
            await _send(writer, 200, json.dumps(self._status()).encode(), "application/json")
        elif not url.path.startswith("/apps/") or not NAME.fullmatch(app):
            await _send(writer, 404, b"no such thing here\n")
        else:
            try:
                await self._read(app, query, reader, writer)
            except BadQuery as exc:
                await _send(writer, 400, f"{exc}\n".encode())

    async def _read(self, app: str, query: dict[str, str], reader: Any, writer: asyncio.StreamWriter) -> None:
        wanted, count = filter_of(query), lines_of(query)
        if (events := query.get("events", "")).isdigit():
            await self._caught_up(int(events[:18]))
        follower = Follower(app, wanted)
        following = query.get("follow") in ("1", "true")
        if following:
            await self._inbox.flush()
            self._followers.add(follower)
        try:
            async with self._searches:
                await self._inbox.flush()
                found = await asyncio.to_thread(newest, self._folder(app), wanted, count)
            text = b"".join(map(shown, found))
            if not following:
                await _send(writer, 200, text)
                return
            seen = set(found[-MOST_WAITING:])
            follower.waiting = [line for line in follower.waiting if line not in seen]
            writer.write(_head(200, TEXT) + text)
            await self._go_on(follower, reader, writer)
        finally:
            self._followers.discard(follower)

    async def _go_on(self, follower: Follower, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hung_up = asyncio.ensure_future(reader.read(1))
        try:
            while not hung_up.done():
                await writer.drain()
                waking = asyncio.ensure_future(follower.woken.wait())
                done, _ = await asyncio.wait({waking, hung_up}, timeout=HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
                writer.write(follower.text() if done else b"\n")
        finally:
            hung_up.cancel()


TEXT = "text/plain; charset=utf-8"


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes, kind: str = TEXT) -> None:
    writer.write(_head(status, kind, len(body)) + body)
    await writer.drain()


def _head(status: int, kind: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} {'OK' if status == 200 else 'Refused'}", f"Content-Type: {kind}", "Connection: close"]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
