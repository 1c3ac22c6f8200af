"""Exec and attach over WebSocket, the channel protocols of Kubernetes, versions 5, 4 and the older ones; and over SPDY.

A message is a channel number and bytes: 0 stdin, 1 stdout, 2 stderr, 3 the result as a Status, 4 the terminal's size;
in version 5 also 255, which closes a channel. Over SPDY each is a stream of that name. Source: apimachinery
pkg/util/remotecommand/constants.go, kubelet/pkg/cri/streaming/remotecommand.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

import orjson
from aiohttp import WSMsgType, web
from multidict import MultiMapping

from orchestrator.errors import ApiError, BadRequest
from orchestrator.kubelet.runtime import ContainerStatus, ExecRequest, ProcessStream, Runtime, RuntimeFailure
from orchestrator.kubelet.spdy import QUEUE, SpdyError, SpdyStream
from orchestrator.kubelet.spdy_upgrade import SpdyResponse, wants_spdy

PROTOCOLS = (
    "v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io",
    "v4.base64.channel.k8s.io", "base64.channel.k8s.io",
)  # fmt: skip
SPDY_PROTOCOLS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
STDIN, STDOUT, STDERR, RESULT, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
SPDY_STREAMS = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": RESULT, "resize": RESIZE}
STREAMS_DEADLINE = 30.0  # seconds in which a SPDY client opens its streams
HEARTBEAT = 30.0  # seconds between pings: a peer that vanished is noticed
LONGEST_MESSAGE = 32 * 2**20


async def serve_exec(request: web.Request, runtime: Runtime, status: ContainerStatus) -> web.StreamResponse:
    asked = exec_request(request.query)
    if not asked.command:
        raise BadRequest("you must specify at least 1 command for the container")
    return await serve_process(request, asked, runtime.open_exec(status.id, asked))


async def serve_attach(
    request: web.Request, runtime: Runtime, status: ContainerStatus, container: Mapping[str, Any]
) -> web.StreamResponse:
    asked = exec_request(request.query)
    if asked.tty and not container.get("tty"):
        raise BadRequest(f"Unable to use a TTY - container {status.name} did not allocate one")
    if asked.stdin and not container.get("stdin"):
        raise BadRequest(f"stdin is not open in container {status.name}")
    return await serve_process(request, asked, runtime.attach(status.id, asked), tells_exit_code=False)


def exec_request(query: MultiMapping[str]) -> ExecRequest:
    """Of a pod's subresource or a kubelet's endpoint: they name the streams differently. Raises: BadRequest."""

    def flag(*names: str) -> bool:
        return any(query.get(name, "").lower() in ("1", "true") for name in names)

    asked = ExecRequest(
        command=tuple(query.getall("command", [])),
        stdin=flag("stdin", "input"),
        stdout=flag("stdout", "output"),
        stderr=flag("stderr", "error"),
        tty=flag("tty"),
    )
    if not (asked.stdin or asked.stdout or asked.stderr):
        raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    return asked


async def serve_process(
    request: web.Request, asked: ExecRequest, opening: Any, *, tells_exit_code: bool = True
) -> web.StreamResponse:
    """Attached to a container, clients read the exit code in the pod's status, and take a failure for ours."""
    try:
        channels = channels_of(request, asked)
    except ApiError:
        opening.close()
        raise
    try:
        process: ProcessStream = await opening
    except RuntimeFailure as exc:
        return await refuse(channels, str(exc))
    try:
        await channels.open()
    except (ConnectionError, ApiError):
        await process.close()
        raise
    reading = asyncio.create_task(read_input(channels, process), name="exec input")
    failure = ""
    try:
        await write_output(channels, process, asked)
        await channels.send_result(result_of(await process.exit_code() if tells_exit_code else 0))
    except RuntimeFailure as exc:
        failure = str(exc)
    except (ConnectionError, web.HTTPException):
        failure = ""  # the client left; there is nobody to tell
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await reading
        await process.close()
    if failure:
        await channels.send_result(error_result(failure))
    await channels.close()
    return channels.response


async def refuse(channels: Channels, message: str) -> web.StreamResponse:
    """The process never started: said where the client looks for its result."""
    await channels.open()
    await channels.send_result(error_result(message))
    await channels.close()
    return channels.response


class Channels(Protocol):
    """A connection that carries a process: bytes in numbered channels, and at the end the result."""

    @property
    def response(self) -> web.StreamResponse: ...

    async def open(self) -> None: ...

    async def send(self, channel: int, data: bytes) -> None: ...

    async def send_result(self, status: dict[str, Any]) -> None: ...

    async def receive(self) -> tuple[int, bytes] | None:
        """The next message; None when the client closed or left."""

    async def close(self) -> None: ...


def channels_of(request: web.Request, asked: ExecRequest) -> Channels:
    """Raises: BadRequest when the client wants neither of the two, Forbidden when it knows none of the protocols."""
    if wants_spdy(request):
        return SpdyChannels(request, asked)
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return WebSocketChannels(request)
    raise BadRequest("Upgrade request required: exec and attach are served over WebSocket and SPDY/3.1")


class WebSocketChannels:
    """One WebSocket as numbered channels."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = self.socket = web.WebSocketResponse(
            protocols=PROTOCOLS, heartbeat=HEARTBEAT, max_msg_size=LONGEST_MESSAGE, compress=False
        )
        self.protocol = ""

    async def open(self) -> None:
        await self.socket.prepare(self._request)
        self.protocol = self.socket.ws_protocol or "channel.k8s.io"
        await self.send(STDOUT, b"")  # tells the client that the connection stands

    async def send(self, channel: int, data: bytes) -> None:
        if self.socket.closed:
            return
        if "base64" in self.protocol:
            await self.socket.send_str(str(channel) + base64.b64encode(data).decode())
        else:
            await self.socket.send_bytes(bytes([channel]) + data)

    async def send_result(self, status: dict[str, Any]) -> None:
        """As a Status; the first protocol knows only the message of a failure, and nothing means success."""
        if self.protocol not in ("channel.k8s.io", "base64.channel.k8s.io"):
            await self.send(RESULT, orjson.dumps(status))
        elif status["status"] != "Success":
            await self.send(RESULT, status["message"].encode())

    async def receive(self) -> tuple[int, bytes] | None:
        """The next message; None when the client closed or left."""
        message = await self.socket.receive()
        if message.type is WSMsgType.BINARY and message.data:
            return message.data[0], message.data[1:]
        if message.type is WSMsgType.TEXT and message.data:
            if "base64" in self.protocol:
                return int(message.data[0]), base64.b64decode(message.data[1:])
            return ord(message.data[0]), message.data[1:].encode()
        return (STDIN, b"") if message.type in (WSMsgType.BINARY, WSMsgType.TEXT) else None

    async def close(self) -> None:
        await self.socket.close()


class SpdyChannels:
    """A SPDY connection on which the client opens a stream for each channel."""

    def __init__(self, request: web.Request, asked: ExecRequest) -> None:
        self.response = SpdyResponse(request, SPDY_PROTOCOLS, self._accept)
        self._streams: dict[int, SpdyStream] = {}
        self._wanted = {RESULT}
        self._wanted |= {channel for channel, flag in ((STDIN, asked.stdin), (STDOUT, asked.stdout)) if flag}
        if asked.stderr and not asked.tty:
            self._wanted.add(STDERR)
        if asked.tty and self.response.protocol in SPDY_PROTOCOLS[:2]:
            self._wanted.add(RESIZE)
        self._complete = asyncio.Event()
        self._incoming: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue(QUEUE)
        self._tasks: list[asyncio.Task[None]] = []

    def _accept(self, stream: SpdyStream) -> None:
        channel = SPDY_STREAMS.get(stream.headers.get("streamtype", ""))
        if channel is None or channel in self._streams:
            return
        self._streams[channel] = stream
        if channel in (STDIN, RESIZE):
            self._tasks.append(asyncio.create_task(self._pass_on(channel, stream), name="exec stream"))
        if self._wanted <= self._streams.keys():
            self._complete.set()

    async def _pass_on(self, channel: int, stream: SpdyStream) -> None:
        while data := await stream.read():
            for piece in data.splitlines() if channel == RESIZE else (data,):
                await self._incoming.put((channel, piece))
        if channel == STDIN:
            await self._incoming.put((CLOSE, bytes([STDIN])))

    async def _serve(self) -> None:
        with contextlib.suppress(SpdyError):
            await self.response.serve()
        await self._incoming.put(None)

    async def open(self) -> None:
        """Raises: ConnectionError when the streams don't come in time."""
        self.response.take_over()
        self._tasks.append(asyncio.create_task(self._serve(), name="exec connection"))
        try:
            async with asyncio.timeout(STREAMS_DEADLINE):
                await self._complete.wait()
        except TimeoutError:
            await self.close()
            raise ConnectionResetError("the client did not open its streams in time") from None

    async def send(self, channel: int, data: bytes) -> None:
        if data and channel in self._streams:
            await self._streams[channel].write(data)

    async def send_result(self, status: dict[str, Any]) -> None:
        for channel in (STDOUT, STDERR):
            if channel in self._streams:
                await self._streams[channel].end()
        stream = self._streams.get(RESULT)
        if stream is not None:
            if self.response.protocol == SPDY_PROTOCOLS[0]:
                await stream.write(orjson.dumps(status))
            elif status["status"] != "Success":
                await stream.write(status["message"].encode())
            await stream.end()

    async def receive(self) -> tuple[int, bytes] | None:
        return await self._incoming.get()

    async def close(self) -> None:
        await self.response.finish()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def read_input(channels: Channels, process: ProcessStream) -> None:
    while (message := await channels.receive()) is not None:
        channel, data = message
        if channel == STDIN and data:
            await process.write(data)
        elif channel == RESIZE:
            with contextlib.suppress(ValueError, TypeError):
                size = orjson.loads(data)
                await process.resize(int(size.get("Width") or 0), int(size.get("Height") or 0))
        elif channel == CLOSE and data[:1] == bytes([STDIN]):
            await process.close_stdin()
    await process.close()


async def write_output(channels: Channels, process: ProcessStream, asked: ExecRequest) -> None:
    wanted = {STDOUT: asked.stdout or asked.tty, STDERR: asked.stderr}
    async for stream, data in process.output():
        if wanted.get(stream):
            await channels.send(stream, data)


def result_of(exit_code: int) -> dict[str, Any]:
    if exit_code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {exit_code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]},
    }


def error_result(message: str) -> dict[str, Any]:
    return {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}
