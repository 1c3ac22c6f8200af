"""Drains: every line in the form receivers know, again when they were away, and what is lost is told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from logger import drains as drains_module
from logger.delivery import is_local
from logger.drains import Drains
from logger.inbox import Inbox
from logger.lines import compose, stamp_of
from logger.state import State
from logger.store import AppLog, Retention
from logger.syslog import framed, message

BEGAN = 1_700_000_000


def line(second: int, text: str, source: str = "shop[web.v3.x7k2p]") -> bytes:
    return compose(stamp_of((BEGAN + second) * 1_000_000_000), source.encode(), text.encode())


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = AppLog.open(folder / "shop")
        self.inbox = Inbox(lambda app: self.log, lambda app: Retention(7, 10**9), 10_000)
        self.state = State(folder / "state.json")
        self.drains = Drains(self.state, self.inbox, lambda app: folder / app)

    def drain_to(self, *urls: str, local: bool = True) -> None:
        entries = [{"id": f"d{index}", "url": url, "local": local} for index, url in enumerate(urls)]
        self.drains.refresh({"shop": {"uuid": "u", "drains": entries}})

    async def write(self, *lines: bytes) -> None:
        self.inbox.add("shop", list(lines))
        await self.inbox.flush()

    def said(self) -> str:
        """What the drains have told by now, kept or about to be."""
        waiting = self.inbox._pending.get("shop")
        return self.text() + (b"".join(waiting.lines).decode() if waiting else "")

    def text(self) -> str:
        return b"".join(path.read_bytes() for path in self.log.segments()).decode()


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(drains_module, "GATHER", 0.01)
    monkeypatch.setattr(drains_module, "FIRST_PAUSE", 0.02)
    made = World(tmp_path)
    yield made
    await made.drains.close()


async def until(condition) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def receiver(port: int = 0) -> AsyncIterator[tuple[int, bytearray]]:
    """A syslog receiver over TCP, and what it got."""
    got = bytearray()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                got.extend(data)
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1], got
    finally:
        server.close()


@contextlib.asynccontextmanager
async def http_receiver(*statuses: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers with `statuses` in turn, then 200; keeps the whole requests."""
    got: list[bytes] = []
    left = list(statuses)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        got.append(head + await reader.readexactly(length))
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % (left.pop(0) if left else 200))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], got
    finally:
        server.close()


def test_a_line_as_rfc_5424_has_it() -> None:
    assert message("shop", line(0, "hello: world")) == (
        b"<134>1 2023-11-14T22:13:20.000000Z shop app web.v3.x7k2p - - hello: world"
    )
    assert message("shop", line(0, "ERROR it failed", "deis[controller]")).startswith(b"<131>1 ")
    assert message("shop", line(0, "x", "deis[router]")).endswith(b" shop router router - - x")
    assert framed(b"abc") == b"3 abc"


async def test_syslog_over_tcp(world: World) -> None:
    async with receiver() as (port, got):
        world.drain_to(f"syslog://127.0.0.1:{port}")
        await world.write(line(1, "one"), line(2, "two"))
        wanted = framed(message("shop", line(1, "one"))) + framed(message("shop", line(2, "two")))
        await until(lambda: bytes(got) == wanted)


async def test_syslog_over_udp(world: World) -> None:
    got: list[bytes] = []

    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: object) -> None:
            got.append(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Receiver, local_addr=("127.0.0.1", 0))
    world.drain_to(f"syslog+udp://127.0.0.1:{transport.get_extra_info('sockname')[1]}")
    await world.write(line(1, "one"))
    await until(lambda: got == [message("shop", line(1, "one"))])
    transport.close()


async def test_http_posts_batches_and_tries_again(world: World) -> None:
    async with http_receiver(503, 429) as (port, got):
        world.drain_to(f"http://bob:secret@127.0.0.1:{port}/in?key=1")
        await world.write(line(1, "one"), line(2, "two"))
        await until(lambda: len(got) == 3)
    assert got[2].startswith(b"POST /in?key=1 HTTP/1.1\r\n")
    assert b"Content-Type: application/logplex-1\r\n" in got[2]
    assert b"Logplex-Msg-Count: 2\r\n" in got[2]
    assert b"Authorization: Basic Ym9iOnNlY3JldA==\r\n" in got[2]
    assert got[2].endswith(framed(message("shop", line(2, "two")) + b"\n"))
    await world.inbox.flush()
    assert "a drain does not take lines, they wait: it answered 503" in world.text()
    assert "secret" not in world.text()


async def test_a_refusal_for_good_is_told_and_not_repeated(world: World) -> None:
    async with http_receiver(410) as (port, got):
        world.drain_to(f"http://127.0.0.1:{port}/")
        await world.write(line(1, "one"))
        await until(lambda: "1 lines were not taken to drain d0" in world.said())
        await asyncio.sleep(0.1)  # several of the pauses after which it would try again
    assert len(got) == 1


async def test_lines_wait_for_a_receiver_that_is_away_and_the_oldest_go_first(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drains_module, "MOST_WAITING", 5)
    async with receiver() as (port, _):
        """Its port is free again below."""
    world.drain_to(f"syslog://127.0.0.1:{port}")
    await world.write(*(line(number, f"line {number}") for number in range(8)))
    await until(lambda: "not delivered" in world.drains.status()[0]["state"])
    async with receiver(port) as (_, got):
        await until(lambda: b"line 7" in got)
        assert b"line 2" not in got and b"line 3" in got
    await world.inbox.flush()
    assert "3 lines were not taken to drain d0" in world.text()


async def test_after_a_restart_it_goes_on_where_it_was(world: World, tmp_path: Path) -> None:
    soon = int(time.time()) - BEGAN + 2
    async with receiver() as (port, got):
        world.drain_to(f"syslog://127.0.0.1:{port}")
        await world.write(line(soon, "before"))
        await until(lambda: b"before" in got)
        world.drains.note_positions()
        world.state.save()
        await world.drains.close()
        world.log.append([line(soon + 1, "while it was away")])
        again = World(tmp_path)
        again.drain_to(f"syslog://127.0.0.1:{port}")
        await until(lambda: b"while it was away" in got)
        assert bytes(got).count(b"before") == 1
        await again.drains.close()


async def test_a_drain_does_not_reach_this_host_unless_an_administrator_said_so(world: World) -> None:
    async with receiver() as (port, got):
        world.drain_to(f"syslog://127.0.0.1:{port}", local=False)
        await world.write(line(1, "one"))
        await until(lambda: "administrator" in world.drains.status()[0]["state"])
        assert not got
    for address in ("127.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1", "0.0.0.0", "10.1.2.3", "fd00::1"):
        assert is_local(address)
    for carried in ("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"):
        assert is_local(carried)
    assert not is_local("8.8.8.8") and not is_local("2600::1")


async def test_a_removed_drain_gets_nothing_more(world: World) -> None:
    async with receiver() as (port, got):
        world.drain_to(f"syslog://127.0.0.1:{port}")
        world.drain_to()
        await world.write(line(1, "one"))
        await asyncio.sleep(0.1)
        assert not got and world.drains.status() == []
