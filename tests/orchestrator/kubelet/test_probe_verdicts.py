"""Probes: what results amount to, and single checks over the network."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from orchestrator.kubelet.grpc_health import DATA, HEADERS, frame
from orchestrator.kubelet.probe_actions import run_probe
from orchestrator.kubelet.probes import Cadence, Verdict, resolved_action
from orchestrator.pki import ensure_pki
from orchestrator.settings import ServerSettings


def verdict(**probe: int) -> Verdict:
    return Verdict(Cadence.of(probe))


def test_one_success_is_enough_by_default() -> None:
    assert verdict().take(True, counts=False) is True


def test_tries_between_periods_never_fail_a_probe() -> None:
    found = verdict(failureThreshold=1)
    assert [found.take(False, counts=False) for _ in range(50)] == [None] * 50
    assert found.take(False, counts=True) is False


def test_failures_must_follow_each_other() -> None:
    found = verdict(failureThreshold=2)
    assert found.take(True, counts=True) is True
    assert found.take(False, counts=True) is None
    assert found.take(True, counts=True) is None
    assert found.take(False, counts=True) is None
    assert found.take(False, counts=True) is False


def test_several_successes_count_on_the_cadence_only() -> None:
    found = verdict(successThreshold=2)
    assert [found.take(True, counts=False) for _ in range(5)] == [None] * 5
    assert [found.take(True, counts=True), found.take(True, counts=True)] == [None, True]


def test_named_ports_are_looked_up() -> None:
    container = {"name": "main", "ports": [{"name": "http", "containerPort": 8080}]}
    assert resolved_action({"httpGet": {"port": "http"}}, container)["httpGet"]["port"] == 8080
    with pytest.raises(ValueError, match="no port named metrics"):
        resolved_action({"tcpSocket": {"port": "metrics"}}, container)


async def answering(answer: bytes) -> tuple[asyncio.Server, int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(("status", "ok"), [(200, True), (302, True), (399, True), (404, False), (503, False)])
async def test_http_answers(status: int, ok: bool) -> None:
    server, port = await answering(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n".encode())
    async with server:
        outcome = await run_probe({"httpGet": {"port": port, "path": "health"}}, "127.0.0.1", 30)
    assert outcome.ok is ok
    assert ok or outcome.message == f"HTTP probe failed with statuscode: {status}"


async def test_silence_is_a_failure_within_the_deadline() -> None:
    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        outcome = await run_probe({"httpGet": {"port": port}}, "127.0.0.1", 0.05)
        server.close_clients() if hasattr(server, "close_clients") else None
    assert not outcome.ok and "deadline exceeded" in outcome.message


async def test_a_closed_port_refuses() -> None:
    server, port = await answering(b"")
    server.close()
    await server.wait_closed()
    outcome = await run_probe({"tcpSocket": {"port": port}}, "127.0.0.1", 30)
    assert outcome.message == f"dial tcp 127.0.0.1:{port}: connect: connection refused"


@pytest.mark.parametrize(("code", "ok"), [(1, True), (2, False)])
async def test_grpc_health(code: int, ok: bool) -> None:
    body = b"\x00" + (2).to_bytes(4, "big") + bytes([0x08, code])
    server, port = await answering(frame(HEADERS, 4, 1, b"\x88") + frame(DATA, 0, 1, body))
    async with server:
        outcome = await run_probe({"grpc": {"port": port}}, "127.0.0.1", 30)
    assert outcome.ok is ok


Answers = dict[str, tuple[int, str]]
"""Path → status, location."""


async def paths_served(answers: Answers, seen: list[bytes], context: ssl.SSLContext | None = None) -> Any:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        seen.append(request)
        status, location = answers[request.split()[1].decode()]
        writer.write(f"HTTP/1.1 {status} X\r\nServer: t\r\nLocation: {location}\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)


@pytest.mark.parametrize(
    ("answers", "ok", "said"),
    [
        ({"/": (302, "/there?x=1"), "/there?x=1": (200, "")}, True, ""),
        ({"/": (301, "there"), "/there": (500, "")}, False, "HTTP probe failed with statuscode: 500"),
        ({"/": (302, "http://elsewhere.example/")}, True, ""),
        ({"/": (302, "/")}, False, "stopped after 10 redirects"),
    ],
)
async def test_redirects_are_followed_on_the_host_itself(answers: Answers, ok: bool, said: str) -> None:
    seen: list[bytes] = []
    async with await paths_served(answers, seen) as server:
        port = server.sockets[0].getsockname()[1]
        outcome = await run_probe({"httpGet": {"port": port}}, "127.0.0.1", 30)
    assert outcome.ok is ok and said in outcome.message


async def test_a_probe_may_ask_by_https_and_set_headers(tmp_path: Path) -> None:
    pki = ensure_pki(ServerSettings(data=tmp_path, node_name="n"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.folder / "agent.crt", pki.folder / "agent.key")
    seen: list[bytes] = []
    async with await paths_served({"/h": (200, "")}, seen, context) as server:
        port = server.sockets[0].getsockname()[1]
        headers = [{"name": "Host", "value": "app.test"}, {"name": "X-Token", "value": "a"}]
        get = {"port": port, "scheme": "HTTPS", "path": "/h", "httpHeaders": headers}
        assert (await run_probe({"httpGet": get}, "127.0.0.1", 30)).ok
        assert b"Host: app.test\r\n" in seen[0] and b"X-Token: a\r\n" in seen[0]
        refused = await run_probe({"httpGet": {"port": port, "path": "/h"}}, "127.0.0.1", 30)
    assert not refused.ok
