"""The agent's HTTPS endpoint, asked as the API server asks it."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from kubelet_pods import make_container, make_pod
from worlds import World, is_ready, simulated_world

from orchestrator.kubelet.server import AgentServer
from orchestrator.kubelet.settings import AgentSettings
from orchestrator.kubelet.spdy import FIN, SYN_STREAM, HeaderCodec, SpdyConnection, control_frame, data_frame
from orchestrator.pki import Pki


class Endpoint:
    def __init__(self, world: World, pki: Pki, port: int) -> None:
        self.world, self.pki, self.url = world, pki, f"https://127.0.0.1:{port}"

    def tls(self, identity: str = "server-client") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.pki.ca))
        if identity:
            context.load_cert_chain(self.pki.certificate(identity), self.pki.key(identity))
        return context

    @asynccontextmanager
    async def session(self, identity: str = "server-client") -> AsyncIterator[aiohttp.ClientSession]:
        connector = aiohttp.TCPConnector(ssl=self.tls(identity))
        async with aiohttp.ClientSession(self.url, connector=connector) as session:
            yield session

    async def get(self, path: str, identity: str = "server-client") -> tuple[int, bytes]:
        async with self.session(identity) as session, session.get(path) as response:
            return response.status, await response.read()


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    async with simulated_world(tmp_path) as world:
        pki = Pki(tmp_path / "server" / "pki")
        settings = AgentSettings(
            kubeconfig=tmp_path / "server" / "agent.kubeconfig", data=tmp_path / "agent", listen_port=0
        )
        server = AgentServer(settings, {"node-1": world.agent})
        await server.start()
        command = ["sh", "-c", "echo one; echo two; sleep 1000"]
        await world.create(make_pod(make_container(command=command, env=[{"name": "COLOR", "value": "blue"}])))
        await world.until("web", is_ready)
        try:
            yield Endpoint(world, pki, server.port)
        finally:
            await server.close()


async def test_only_the_api_server_may_ask(endpoint: Endpoint) -> None:
    assert (await endpoint.get("/pods"))[0] == 200
    status, body = await endpoint.get("/pods", identity="agent")
    assert status == 403 and orjson.loads(body)["reason"] == "Forbidden"
    assert await endpoint.get("/healthz", identity="agent") == (200, b"ok")
    with pytest.raises(aiohttp.ClientError):
        await endpoint.get("/healthz", identity="")


async def test_logs_and_their_refusals(endpoint: Endpoint) -> None:
    path = "/containerLogs/default/web/main"
    assert await endpoint.get(path) == (200, b"one\ntwo\n")
    assert await endpoint.get(f"{path}?tailLines=1") == (200, b"two\n")
    assert await endpoint.get(f"{path}?limitBytes=5") == (200, b"one\nt")
    for wrong, code in (
        ("/containerLogs/default/none/main", 404),
        ("/containerLogs/default/web/none", 400),
        (f"{path}?previous=true", 400),
        (f"{path}?tailLines=many", 400),
        (f"{path}?sinceTime=yesterday", 400),
    ):
        status, body = await endpoint.get(wrong)
        assert status == code and orjson.loads(body)["kind"] == "Status"


@pytest.mark.parametrize(
    ("protocol", "said"), [("binary.k8s.io", b"one\ntwo\n"), ("base64.binary.k8s.io", "b25lCg==dHdvCg==")]
)
async def test_logs_come_over_a_web_socket_too(endpoint: Endpoint, protocol: str, said: Any) -> None:
    async with endpoint.session() as session:
        async with session.ws_connect("/containerLogs/default/web/main", protocols=[protocol]) as socket:
            assert socket.protocol == protocol
            messages = [message.data async for message in socket]
    assert type(said)().join(messages) == said


async def test_usage_is_told(endpoint: Endpoint) -> None:
    summary = orjson.loads((await endpoint.get("/stats/summary"))[1])
    assert summary["node"]["nodeName"] == "node-1"
    assert summary["pods"][0]["containers"][0]["memory"]["workingSetBytes"] > 0
    assert b"kubelet_running_pods" in (await endpoint.get("/metrics"))[1]


async def exec_result(endpoint: Endpoint, query: str, protocol: str, *sent: bytes) -> tuple[bytes, dict[str, Any]]:
    output, result = b"", {}
    async with endpoint.session() as session:
        async with session.ws_connect(f"/exec/default/web/main?{query}", protocols=[protocol]) as socket:
            assert socket.protocol == protocol
            for message in sent:
                await socket.send_bytes(message)
            async for message in socket:
                if message.data[0] == 1:
                    output += message.data[1:]
                elif message.data[0] == 3:
                    result = orjson.loads(message.data[1:])
    return output, result


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
async def test_exec_tells_output_and_exit_code(endpoint: Endpoint, protocol: str) -> None:
    query = "command=sh&command=-c&command=echo+$COLOR&output=1&error=1"
    assert await exec_result(endpoint, query, protocol) == (b"blue\n", {"metadata": {}, "status": "Success"})
    query = "command=sh&command=-c&command=exit+7&stdout=true&stderr=true"
    _, result = await exec_result(endpoint, query, protocol)
    assert result["reason"] == "NonZeroExitCode"
    assert result["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]


async def test_exec_takes_input_until_its_channel_is_closed(endpoint: Endpoint) -> None:
    messages = (b"\x00typed\n", b"\x04" + orjson.dumps({"Width": 80, "Height": 24}), b"\xff\x00")
    output, result = await exec_result(endpoint, "command=cat&input=1&output=1&tty=1", "v5.channel.k8s.io", *messages)
    assert b"typed\n" in output and result["status"] == "Success"


@pytest.mark.parametrize(("command", "told"), [("true", b""), ("exit+7", b"exit status 7")])
async def test_the_first_protocol_tells_failures_alone(endpoint: Endpoint, command: str, told: bytes) -> None:
    query, results = f"command=sh&command=-c&command={command}&output=1", []
    async with endpoint.session() as session:
        async with session.ws_connect(f"/exec/default/web/main?{query}", protocols=["channel.k8s.io"]) as socket:
            async for message in socket:
                if message.data[0] == 3:
                    results.append(message.data[1:])
    assert len(results) == (1 if told else 0) and told in b"".join(results)


async def test_exec_without_a_command_or_a_socket_is_refused(endpoint: Endpoint) -> None:
    assert (await endpoint.get("/exec/default/web/main?output=1"))[0] == 400
    assert (await endpoint.get("/exec/default/web/main?command=ls&output=1"))[0] == 400


class Client:
    """kubectl's end of a port-forward tunnel."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.headers, self.received = socket, HeaderCodec(), {1: b"", 3: b""}
        self._pending = b""

    async def open(self, number: int, kind: str, port: int, *, flags: int = 0) -> None:
        block = self.headers.encode({"streamType": kind, "port": str(port), "requestID": "0"})
        payload = struct.pack(">IIBB", number, 0, 0, 0) + block
        await self.socket.send_bytes(control_frame(SYN_STREAM, payload, flags))

    async def until_end_of(self, stream: int) -> bytes:
        async with asyncio.timeout(60):
            while True:
                self._pending += await self.socket.receive_bytes()
                while len(self._pending) >= 8:
                    head, rest = struct.unpack_from(">II", self._pending)
                    size = rest & 0xFFFFFF
                    if len(self._pending) < 8 + size:
                        break
                    payload, self._pending = self._pending[8 : 8 + size], self._pending[8 + size :]
                    if not head & 0x80000000:
                        self.received[head] += payload
                        if head == stream and rest >> 24 & FIN:
                            return self.received[stream]


async def test_ports_are_forwarded_through_a_tunnel(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read()).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)

    async def dial(sandbox: object, port: int) -> Any:
        assert port == 8080
        return await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])

    monkeypatch.setattr(endpoint.world.runtime, "dial", dial)
    async with server, endpoint.session() as session:
        path, protocol = "/portForward/default/web", "SPDY/3.1+portforward.k8s.io"
        async with session.ws_connect(path, protocols=[protocol]) as socket:
            client = Client(socket)
            await client.open(1, "error", 8080, flags=FIN)
            await client.open(3, "data", 8080)
            await socket.send_bytes(data_frame(3, b"hello ") + data_frame(3, b"there", last=True))
            assert await client.until_end_of(3) == b"HELLO THERE"


@pytest.mark.parametrize("parameter", ["port", "ports"])
async def test_ports_are_forwarded_over_plain_channels(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, parameter: str
) -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read(5)).upper())
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)

    async def dial(sandbox: object, port: int) -> Any:
        return await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])

    monkeypatch.setattr(endpoint.world.runtime, "dial", dial)
    async with server, endpoint.session() as session:
        path = f"/portForward/default/web?{parameter}=8080"
        async with session.ws_connect(path, protocols=["v4.channel.k8s.io"]) as socket:
            assert [await socket.receive_bytes() for _ in range(2)] == [b"\x00\x90\x1f", b"\x01\x90\x1f"]
            await socket.send_bytes(b"\x00hello")
            assert await socket.receive_bytes() == b"\x00HELLO"


async def test_a_port_nobody_listens_on_is_told_on_the_error_stream(endpoint: Endpoint) -> None:
    async with endpoint.session() as session:
        path, protocol = "/portForward/default/web", "SPDY/3.1+portforward.k8s.io"
        async with session.ws_connect(path, protocols=[protocol]) as socket:
            client = Client(socket)
            await client.open(1, "error", 81, flags=FIN)
            await client.open(3, "data", 81)
            assert b"error forwarding port 81: nothing listens" in await client.until_end_of(1)


async def test_spdy_frames_may_come_in_any_pieces() -> None:
    sent: list[bytes] = []
    streams: list[Any] = []

    async def send(data: bytes) -> None:
        sent.append(data)

    connection = SpdyConnection(send, streams.append)
    block = HeaderCodec().encode({"port": "80"})
    wire = control_frame(SYN_STREAM, struct.pack(">IIBB", 1, 0, 0, 0) + block) + data_frame(1, b"abc", last=True)
    for position in range(len(wire)):
        await connection.receive(wire[position : position + 1])
    assert streams[0].headers == {"port": "80"}
    assert [await streams[0].read(), await streams[0].read()] == [b"abc", b""]
    assert len(sent) == 1, "a stream is answered once"
