"""What the controller tells: apps, drains, events; and readers that know of an event see it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from logger.directory import Directory
from logger.inbox import Inbox
from logger.search import Filter, newest
from logger.server import Server
from logger.settings import load
from logger.state import State
from logger.store import AppLog

NOW = "2026-01-31T10:00:00.000001+00:00"


class Controller:
    """Answers the hook as the real one does."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.apps: dict[str, Any] = {"shop": {"uuid": "u1", "drains": [], "days": 3, "megabytes": 5}}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert "X-Deis-Builder-Auth: the-key" in head
        after = int(head.partition("after=")[2].partition("&")[0])
        fresh = self.events[after:]
        digest = json.dumps(self.apps)[:200].encode().hex()
        known = f"digest={digest} " in head
        answer = {"events": fresh, "last": len(self.events), "more": bool(fresh), "digest": digest}
        body = json.dumps(answer | {"apps": None if known else self.apps}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    def tell(self, message: str, time: str = NOW) -> None:
        self.events.append({"app": "shop", "time": time, "level": "INFO", "message": message})


class World:
    def __init__(self, folder: Path, port: int) -> None:
        (folder / "key").write_text("the-key\n")
        environment = {
            "LOGGER_DATA": str(folder),
            "LOGGER_LISTEN": str(folder / "s"),
            "BUILDER_KEY_FILE": f"{folder}/key",
        }
        self.settings = load(environment | {"CONTROLLER_URL": f"http://127.0.0.1:{port}"})
        self.folder, self.open = folder, {}
        self.state = State(folder / "state.json")
        self.inbox = Inbox(self.log_of, lambda app: self.directory.retention(app), 1000)
        self.directory = Directory(self.settings, self.state, self.inbox, self.log_of)

    def log_of(self, app: str) -> AppLog:
        return self.open.setdefault(app, AppLog.open(self.folder / app))

    def texts(self, app: str = "shop") -> list[str]:
        return [line.decode().partition("]: ")[2] for line in newest(self.folder / app, Filter(), 100)]


@pytest.fixture
async def controller() -> AsyncIterator[Controller]:
    made = Controller()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    async with server:
        yield made


@pytest.fixture
def world(tmp_path: Path, controller: Controller) -> World:
    return World(tmp_path, controller.port)  # type: ignore[attr-defined]


async def test_events_are_taken_once_also_over_a_kill(world: World, controller: Controller, tmp_path: Path) -> None:
    controller.tell("first")
    controller.tell("second", "2026-01-31T10:00:00.000002+00:00")
    assert await world.directory._look() is True
    assert await world.directory._look() is False
    again = World(tmp_path, controller.port)  # type: ignore[attr-defined]
    controller.tell("third", "2026-01-31T10:00:00.000003+00:00")
    await again.directory._look()
    assert again.texts() == ["INFO first", "INFO second", "INFO third"], "its state was not saved"


async def test_an_app_keeps_less_than_the_platform_but_not_more(world: World, controller: Controller) -> None:
    await world.directory._look()
    kept = world.directory.retention("shop")
    assert (kept.days, kept.bytes) == (3, 5 * 1024 * 1024)
    controller.apps["shop"] |= {"days": 400, "megabytes": 10_000}
    await world.directory._look()
    kept = world.directory.retention("shop")
    assert (kept.days, kept.bytes) == (7, 100 * 1024 * 1024)


async def test_a_new_app_of_an_old_name_begins_with_an_empty_log(world: World, controller: Controller) -> None:
    controller.tell("of the old one")
    await world.directory._look()
    controller.apps = {"shop": {"uuid": "u2", "drains": []}}
    controller.tell("of the new one", "2026-01-31T10:00:01+00:00")
    await world.directory._look()
    assert world.texts() == ["INFO of the new one"]


async def ask(world: World, target: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(world.settings.listen))
    writer.write(f"GET {target} HTTP/1.1\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_reader_sees_the_event_it_knows_of(world: World, controller: Controller) -> None:
    server = Server(world.settings.listen, lambda app: world.folder / app, world.inbox, dict, world.directory.caught_up)
    tasks = [asyncio.create_task(world.directory.run()), asyncio.create_task(server.run())]
    try:
        async with asyncio.timeout(60):
            while not world.settings.listen.exists():  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
        controller.tell("just done")
        assert b"deis[controller]: INFO just done" in await ask(world, "/apps/shop?events=1")
        assert b"since: 'x' is no time" in await ask(world, "/apps/shop?since=x")
        assert b" 404 " in (await ask(world, "/apps/..%2f..")).split(b"\r\n")[0]
        assert b'"uuid"' not in await ask(world, "/status")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_reader_that_follows_gets_each_line_once(world: World, controller: Controller) -> None:
    server = Server(world.settings.listen, lambda app: world.folder / app, world.inbox, dict, world.directory.caught_up)
    task = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(60):
            while not world.settings.listen.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            world.inbox.add("shop", [b"2026-01-31T10:00:00.000000001Z shop[web.v2.aaaaa]: one"])
            reader, writer = await asyncio.open_unix_connection(str(world.settings.listen))
            writer.write(b"GET /apps/shop?follow=1&ps=web HTTP/1.1\r\n\r\n")
            await reader.readuntil(b"]: one\n")
            world.inbox.add("shop", [b"2026-01-31T10:00:01.000000001Z shop[worker.v2.bbbbb]: not wanted"])
            world.inbox.add("shop", [b"2026-01-31T10:00:02.000000001Z shop[web.v2.aaaaa]: two"])
            await world.inbox.flush()
            assert await reader.readline() == b"2026-01-31T10:00:02+00:00 shop[web.v2.aaaaa]: two\n"
            writer.close()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
