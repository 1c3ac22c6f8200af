"""Reading containers: nothing twice and nothing left out when a stream begins again, and too much is counted."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from logger import inbox as inbox_module
from logger.collector import Collector, Reading
from logger.http import Answer, request
from logger.inbox import Inbox
from logger.kubernetes import Pod, pod_of
from logger.lines import normal_stamp, stamp_of
from logger.router_log import RouterLog, describe
from logger.search import Filter, newest
from logger.state import State
from logger.store import AppLog, Retention

POD = Pod("shop", "shop-web-x7k2p", "uid", "shop-web", b"shop[web.v3.x7k2p]", "Running", 0, False, None)
BEGAN = 1_700_000_000


class World:
    """A store of one app in a folder, opened anew by `restart`."""

    def __init__(self, folder: Path, rate: int = 100_000) -> None:
        self.folder, self.rate = folder, rate
        self.restart()

    def restart(self) -> None:
        self.log = AppLog.open(self.folder / "shop")
        self.inbox = Inbox(lambda app: self.log, lambda app: Retention(7, 10**9), self.rate)

    def reading(self) -> Reading:
        return Reading(POD, self.log.positions.get(POD.source), self.inbox)

    async def texts(self) -> list[str]:
        await self.inbox.flush()
        return [one.decode().partition("]: ")[2] for one in newest(self.folder / "shop", Filter(), 10_000)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def container_log(count: int, per_second: int = 3) -> list[bytes]:
    """Lines as a kubelet gives them, several with the very same time."""
    stamps = [stamp_of(BEGAN * 1_000_000_000 + index // per_second * 400_000_000) for index in range(count)]
    return [b"%s line %d" % (stamp, index) for index, stamp in enumerate(stamps)]


def since(lines: list[bytes], options: dict[str, str]) -> list[bytes]:
    """What a kubelet sends for `options`."""
    start = options.get("sinceTime", "").removesuffix("Z").encode()
    return [one for one in lines if one[:19] >= start]


@pytest.mark.parametrize("seed", range(8))
async def test_nothing_is_lost_or_doubled_over_breaks_and_kills(world: World, seed: int) -> None:
    lines, chance = container_log(200), random.Random(seed)
    written = 0
    while written < len(lines):
        written = min(written + chance.randint(1, 30), len(lines))
        reading = world.reading()
        data = b"\n".join(since(lines[:written], reading.begin())) + b"\n"
        cut = chance.randint(0, len(data))
        for piece in (data[:cut], data[cut:]):
            reading.take(piece)
        await world.inbox.flush()
        if chance.random() < 0.5:
            world.restart()
    assert await world.texts() == [f"line {index}" for index in range(200)]


async def test_lines_over_the_rate_are_dropped_and_counted_in_the_stream(tmp_path: Path) -> None:
    world = World(tmp_path, rate=50)
    reading = world.reading()
    reading.begin()
    reading.take(b"\n".join(container_log(1000)) + b"\n")
    texts = await world.texts()
    kept = [text for text in texts if text.startswith("line ")]
    assert len(kept) == 100, "two seconds' worth at once"
    assert f"WARN {1000 - len(kept)} lines dropped: more came than 50 a second" in texts
    resumed = world.reading()
    assert since(container_log(1000), resumed.begin())[0] >= container_log(1000)[-5][:19], "it goes on at the end"


async def test_an_engine_that_repeats_itself_is_not_believed(world: World) -> None:
    lines = container_log(30)
    reading = world.reading()
    reading.begin()
    late = b"%s said on stderr meanwhile" % lines[15].split(b" ")[0]
    reading.take(b"\n".join([*lines[:20], *lines[10:20], late, *lines[20:]]) + b"\n")
    texts = await world.texts()
    assert sorted(texts) == sorted([*(f"line {index}" for index in range(30)), "said on stderr meanwhile"])


async def test_a_body_may_take_longer_than_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        await asyncio.sleep(0.2)
        writer.write(b"cd")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, request("127.0.0.1", port, None, "GET", "/", patience=0.1) as answer:
        assert await answer.body() == b"abcd"


async def test_a_full_store_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "MOST_PENDING", 1000)

    def full(lines: list[bytes]) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(world.log, "append", full)
    for _ in range(50):
        taken = world.inbox.allowance("shop", 10)
        world.inbox.add("shop", [b"x" * 100] * taken)
        await world.inbox.flush()
    assert world.inbox._pending["shop"].size <= 2000


def test_times_as_kubelets_write_them() -> None:
    assert normal_stamp(b"2026-01-31T10:00:00.5Z") == b"2026-01-31T10:00:00.500000000Z"
    assert normal_stamp(b"2026-01-31T10:00:00Z") == b"2026-01-31T10:00:00.000000000Z"
    assert normal_stamp(b"2026-01-31T12:00:00.123456789+02:00") == b"2026-01-31T10:00:00.123456789Z"
    assert normal_stamp(b"yesterday") is None


def pod_object(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "shop-web-7d9f-x7k2p",
            "namespace": "shop",
            "uid": "u",
            "labels": {"app": "shop", "type": "web", "version": "v3"},
        },
        "spec": {"containers": [{"name": "shop-web"}]},
        "status": {"phase": "Running", **status},
    }


def test_a_pod_is_named_as_deis_names_processes() -> None:
    pod = pod_of(pod_object())
    assert pod is not None and pod.source == b"shop[web.v3.x7k2p]"
    stranger = pod_object()
    stranger["metadata"]["namespace"] = "elsewhere"
    assert pod_of(stranger) is None, "a label alone doesn't make it a pod of that app"


class Streams:
    """The API of one container whose log is `lines`; `attempts` previous ones are named in `before`."""

    def __init__(self, lines: list[bytes], before: list[bytes]) -> None:
        self.lines, self.before = lines, before

    def log(self, pod: Pod, **options: str) -> Any:
        wanted = self.before if options.get("previous") else self.lines
        return Stream(b"".join(one + b"\n" for one in since(wanted, options)))


class Stream:
    def __init__(self, data: bytes) -> None:
        self.data = data

    async def __aenter__(self) -> Answer:
        reader = asyncio.StreamReader()
        reader.feed_data(self.data)
        reader.feed_eof()
        return Answer(200, {"content-length": str(len(self.data))}, reader)

    async def __aexit__(self, *exc: object) -> None:
        return None


async def test_what_a_crashed_attempt_said_last_is_read_too(world: World) -> None:
    lines = container_log(9)
    api = Streams(lines[:4], [])
    collector = Collector(api, world.inbox, lambda app: world.log)  # type: ignore[arg-type]
    running = pod_of(pod_object(containerStatuses=[{"name": "shop-web", "restartCount": 0}]))
    assert running is not None
    collector._seen(running)
    async with asyncio.timeout(60):
        while "line 3" not in await world.texts():  # noqa: ASYNC110 - looking writes it
            await asyncio.sleep(0.01)
    api.before, api.lines = lines[:6], lines[6:]
    ended = {"exitCode": 1, "reason": "OOMKilled", "finishedAt": "2023-11-14T22:13:22Z"}
    status = {"name": "shop-web", "restartCount": 1, "lastState": {"terminated": ended}}
    crashed = pod_of(pod_object(containerStatuses=[status], phase="Failed"))
    assert crashed is not None
    collector._seen(crashed)
    await asyncio.wait_for(asyncio.gather(*collector._tasks.values()), 60)
    texts = await world.texts()
    assert [text for text in texts if text.startswith("line")] == [f"line {index}" for index in range(9)]
    assert "web.v3.x7k2p exited with status 1 (OOMKilled)" in texts


@pytest.mark.parametrize("moment", ["2023-11-14T22:13:22Z", "2023-11-14T22:13:22.000000000Z"])
async def test_an_ending_told_in_whole_seconds_comes_after_the_last_words(world: World, moment: str) -> None:
    said = b"2023-11-14T22:13:22.700000000Z last words"
    collector = Collector(Streams([said], []), world.inbox, lambda app: world.log)  # type: ignore[arg-type]
    ended = {"exitCode": 3, "reason": "Error", "finishedAt": moment}
    status = {"name": "shop-web", "restartCount": 0, "state": {"terminated": ended}}
    pod = pod_of(pod_object(containerStatuses=[status], phase="Failed"))
    assert pod is not None
    collector._seen(pod)
    await asyncio.wait_for(asyncio.gather(*collector._tasks.values()), 60)
    assert await world.texts() == ["last words", "web.v3.x7k2p exited with status 3"]


def request_line(app: str, status: int = 200) -> bytes:
    entry = {"time": "2026-01-31T10:00:00+00:00", "app": app, "host": "shop.example.test", "method": "GET"}
    entry |= {"path": '/a"b', "status": status, "bytes": 12, "duration": 0.0123, "client": "192.0.2.1"}
    return json.dumps(entry, separators=(",", ":")).encode()


def test_a_request_reads_like_herokus() -> None:
    said = describe(request_line("shop", 502))
    assert said.startswith('at=error method=GET path="/a\\"b" host=shop.example.test')
    assert said.endswith('fwd="192.0.2.1" service=12ms status=502 bytes=12')


async def test_requests_of_known_apps_are_taken_from_where_the_file_was_left(world: World, tmp_path: Path) -> None:
    path, state = tmp_path / "access.log", State(tmp_path / "state.json")
    router = RouterLog(path, state, world.inbox, lambda app: app == "shop")
    path.write_bytes(request_line("shop") + b"\n")
    router._look()
    assert await world.texts() == [], "the past of a file that was never read is let be"
    with path.open("ab") as file:
        file.write(request_line("shop") + b"\n" + request_line("other") + b"\n" + request_line("shop")[:20])
    router._look()
    assert len(await world.texts()) == 1
    state.save()
    again = RouterLog(path, State(tmp_path / "state.json"), world.inbox, lambda app: True)
    with path.open("ab") as file:
        file.write(request_line("shop")[20:] + b"\n")
    again._look()
    assert len(await world.texts()) == 2
    path.write_bytes(b"")
    again._look()
    path.write_bytes((request_line("shop") + b"\n") * 300)
    again._look()
    assert "WARN 50 more requests, not listed" in await world.texts()
