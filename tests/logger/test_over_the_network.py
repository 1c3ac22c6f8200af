"""Between pods the store listens on an address: whoever knows the key reads and sends lines, nobody else."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from logger.errors import BadSetting
from logger.inbox import Inbox
from logger.intake import Intake
from logger.lines import compose, now
from logger.places import Address, Door
from logger.search import Filter, newest
from logger.server import Server
from logger.settings import load
from logger.store import AppLog, Retention

KEY = "the-key-of-the-builder"


def settings_of(folder: Path, listen: str):
    (folder / "key").write_text(KEY + "\n")
    names = {"LOGGER_DATA": str(folder), "BUILDER_KEY_FILE": f"{folder}/key", "CONTROLLER_URL": "http://127.0.0.1:1"}
    return load({**names, "LOGGER_LISTEN": listen})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_place_is_a_path_or_an_address(tmp_path: Path) -> None:
    assert settings_of(tmp_path, "/run/s").intake == Path("/run/s.intake")
    assert settings_of(tmp_path, "/run/s").door().opens_to(None), "who may open the file needs no key"
    network = settings_of(tmp_path, "tcp://0.0.0.0:8020")
    assert network.listen == network.intake == Address("0.0.0.0", 8020)
    assert network.door() == Door(KEY)
    with pytest.raises(BadSetting, match="LOGGER_LISTEN"):
        settings_of(tmp_path, "tcp://8020")
    (tmp_path / "key").write_text("")
    with pytest.raises(BadSetting, match="BUILDER_KEY_FILE"):
        network.door()


async def ask(port: int, target: str, *headers: str) -> bytes:
    async with asyncio.timeout(60):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
        writer.write("\r\n".join([f"GET {target} HTTP/1.1", *headers, "", ""]).encode())
        answer = await reader.read()
    writer.close()
    return answer


async def test_readers_and_lines_need_the_key(tmp_path: Path) -> None:
    port, logs, nudges = free_port(), {}, []
    inbox = Inbox(
        lambda app: logs.setdefault(app, AppLog.open(tmp_path / app)), lambda app: Retention(7, 1 << 20), 1000
    )
    inbox.add("shop", [compose(now(), b"shop[web.v1.aaaaa]", b"hello")])
    place, door = Address("127.0.0.1", port), Door(KEY)

    async def no_wait(event: int) -> None: ...

    server = Server(place, lambda app: tmp_path / app, inbox, dict, no_wait, door)
    intake = Intake(place, inbox, lambda: nudges.append(1), lambda app: app == "shop", door)
    tasks = [asyncio.create_task(server.run()), asyncio.create_task(intake.run())]
    try:
        assert b" 200 " in (await ask(port, "/healthz")).split(b"\r\n")[0]
        for headers in ((), ("X-Deis-Builder-Auth: wrong",), ("X-Deis-Builder-Auth:",)):
            refused = await ask(port, "/apps/shop", *headers)
            assert b" 401 " in refused.split(b"\r\n")[0] and b"hello" not in refused
        assert b"hello" in await ask(port, "/apps/shop", f"x-deis-builder-auth: {KEY}")
        line = {"app": "shop", "source": "builder", "text": "forged"}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for message in (line, line | {"key": "wrong"}, {"nudge": True}, line | {"key": KEY, "text": "built"}):
                sender.sendto(json.dumps(message).encode(), ("127.0.0.1", port))
        async with asyncio.timeout(60):
            while not any(b"built" in line for line in newest(tmp_path / "shop", Filter(), 10)):
                await asyncio.sleep(0.01)
                await inbox.flush()
        assert not any(b"forged" in line for line in newest(tmp_path / "shop", Filter(), 10)) and nudges == []
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
