"""Port forwarding: SPDY tunnelled through a WebSocket (kubectl), SPDY by itself (Go clients older than 1.30), and plain
WebSocket channels.

Source: kubernetes pkg/kubelet (kubelet/pkg/cri/streaming/portforward), client-go tools/portforward.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable

from aiohttp import WSMsgType, web

from orchestrator.errors import BadRequest
from orchestrator.kubelet.remote_commands import HEARTBEAT, LONGEST_MESSAGE
from orchestrator.kubelet.runtime import Runtime, RuntimeFailure, Sandbox
from orchestrator.kubelet.spdy import SpdyConnection, SpdyError, SpdyStream
from orchestrator.kubelet.spdy_upgrade import SpdyResponse, wants_spdy

TUNNEL = "SPDY/3.1+portforward.k8s.io"
CHANNELS = ("v4.channel.k8s.io", "portforward.k8s.io")
PAIR_DEADLINE = 30.0  # seconds between the two streams of one forwarded connection
CHUNK = 32 * 1024


async def serve_port_forward(request: web.Request, runtime: Runtime, sandbox: Sandbox) -> web.StreamResponse:
    if wants_spdy(request):
        return await serve_over_spdy(request, runtime, sandbox)
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise BadRequest("Upgrade request required: port forwarding is served over WebSocket and SPDY/3.1")
    socket = web.WebSocketResponse(
        protocols=(TUNNEL, *CHANNELS), heartbeat=HEARTBEAT, max_msg_size=LONGEST_MESSAGE, compress=False
    )
    await socket.prepare(request)
    if socket.ws_protocol == TUNNEL:
        await serve_in_tunnel(socket, runtime, sandbox)
    else:
        ports = request.query.getall("port", []) + request.query.getall("ports", [])
        await forward_channels(socket, ports, runtime, sandbox)
    await socket.close()
    return socket


async def serve_over_spdy(request: web.Request, runtime: Runtime, sandbox: Sandbox) -> web.StreamResponse:
    forwards = Forwards(runtime, sandbox)
    response = SpdyResponse(request, (CHANNELS[-1],), forwards.accept)
    response.take_over()
    try:
        with contextlib.suppress(SpdyError):
            await response.serve()
    finally:
        await forwards.close()
        await response.finish()
    return response


async def serve_in_tunnel(socket: web.WebSocketResponse, runtime: Runtime, sandbox: Sandbox) -> None:
    async def send(data: bytes) -> None:
        if not socket.closed:
            await socket.send_bytes(data)

    forwards = Forwards(runtime, sandbox)
    connection = SpdyConnection(send, forwards.accept)
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await connection.receive(message.data)
    except SpdyError:
        await socket.close(code=1002)
    finally:
        await forwards.close()


class Forwards:
    """Pairs the error and data streams the client opens for each connection, and joins the pair to the pod."""

    def __init__(self, runtime: Runtime, sandbox: Sandbox) -> None:
        self._runtime, self._sandbox = runtime, sandbox
        self._waiting: dict[str, SpdyStream] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def accept(self, stream: SpdyStream) -> None:
        request, kind = stream.headers.get("requestid", ""), stream.headers.get("streamtype", "")
        if kind == "error":
            self._waiting[request] = stream
            asyncio.get_running_loop().call_later(PAIR_DEADLINE, self._waiting.pop, request, None)
            return
        task = asyncio.create_task(self._forward(stream, self._waiting.pop(request, None)), name="port forward")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, data: SpdyStream, errors: SpdyStream | None) -> None:
        port = data.headers.get("port", "")
        problem = ""
        try:
            reader, writer = await self._runtime.dial(self._sandbox, int(port))
        except (RuntimeFailure, ValueError) as exc:
            problem = f"error forwarding port {port}: {exc}"
        if problem:
            if errors is not None:
                await errors.write(problem.encode())
                await errors.end()
            await data.reset()
            return
        try:
            await join(reader, writer, data.read, data.write)
        finally:
            writer.close()
            await data.end()
            if errors is not None:
                await errors.end()


async def join(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    read: Callable[[], Awaitable[bytes]],
    write: Callable[[bytes], Awaitable[None]],
) -> None:
    """Copies both ways until the pod has no more to say."""

    async def towards_pod() -> None:
        with contextlib.suppress(ConnectionError):
            while data := await read():
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

    sending = asyncio.create_task(towards_pod(), name="port forward input")
    try:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                await write(data)
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


async def forward_channels(socket: web.WebSocketResponse, ports: list[str], runtime: Runtime, sandbox: Sandbox) -> None:
    """Two channels a port: data and errors; each begins with the port as two bytes, little end first."""
    numbers = [int(port) for part in ports for port in part.split(",") if port.isdigit()]
    queues: list[asyncio.Queue[bytes]] = [asyncio.Queue(64) for _ in numbers]
    for index, port in enumerate(numbers):
        for channel in (2 * index, 2 * index + 1):
            await socket.send_bytes(bytes([channel]) + struct.pack("<H", port))
    tasks = [
        asyncio.create_task(_forward_channel(socket, index, port, queues[index], runtime, sandbox))
        for index, port in enumerate(numbers)
    ]
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY and message.data and message.data[0] // 2 < len(queues):
                if message.data[0] % 2 == 0 and len(message.data) > 1:
                    await queues[message.data[0] // 2].put(message.data[1:])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward_channel(
    socket: web.WebSocketResponse,
    index: int,
    port: int,
    queue: asyncio.Queue[bytes],
    runtime: Runtime,
    sandbox: Sandbox,
) -> None:
    async def write(data: bytes) -> None:
        await socket.send_bytes(bytes([2 * index]) + data)

    try:
        reader, writer = await runtime.dial(sandbox, port)
    except RuntimeFailure as exc:
        await socket.send_bytes(bytes([2 * index + 1]) + f"error forwarding port {port}: {exc}".encode())
        return
    try:
        await join(reader, writer, queue.get, write)
    finally:
        writer.close()
