"""Exec and attach over WebSocket: the channel protocols of Kubernetes, versions 5, 4 and the older ones.

A message is a channel number and bytes: 0 stdin, 1 stdout, 2 stderr, 3 the result as a Status, 4 the terminal's size;
in version 5 also 255, which closes a channel. Source: apimachinery pkg/util/remotecommand/constants.go,
kubelet/pkg/cri/streaming/remotecommand.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import WSMsgType, web
from multidict import MultiMapping

from orchestrator.errors import BadRequest
from orchestrator.kubelet.runtime import ContainerStatus, ExecRequest, ProcessStream, Runtime, RuntimeFailure

PROTOCOLS = (
    "v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io",
    "v4.base64.channel.k8s.io", "base64.channel.k8s.io",
)  # fmt: skip
STDIN, STDOUT, STDERR, RESULT, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
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
    return await serve_process(request, asked, runtime.attach(status.id, asked))


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


async def serve_process(request: web.Request, asked: ExecRequest, opening: Any) -> web.StreamResponse:
    if request.headers.get("Upgrade", "").lower() != "websocket":
        opening.close()
        raise BadRequest("exec and attach are served over WebSocket only; kubectl 1.31 and later speak it")
    try:
        process: ProcessStream = await opening
    except RuntimeFailure as exc:
        return await refuse(request, str(exc))
    channels = Channels(request)
    await channels.open()
    reading = asyncio.create_task(read_input(channels, process), name="exec input")
    failure = ""
    try:
        await write_output(channels, process, asked)
        await channels.send(RESULT, result_of(await process.exit_code()))
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
        await channels.send(RESULT, error_result(failure))
    await channels.close()
    return channels.socket


async def refuse(request: web.Request, message: str) -> web.StreamResponse:
    """The process never started: said where the client looks for its result."""
    channels = Channels(request)
    await channels.open()
    await channels.send(RESULT, error_result(message))
    await channels.close()
    return channels.socket


class Channels:
    """One WebSocket as numbered channels."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.socket = web.WebSocketResponse(
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


def result_of(exit_code: int) -> bytes:
    if exit_code == 0:
        return orjson.dumps({"metadata": {}, "status": "Success"})
    return orjson.dumps(
        {
            "metadata": {},
            "status": "Failure",
            "message": f"command terminated with non-zero exit code: exit status {exit_code}",
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]},
        }
    )


def error_result(message: str) -> bytes:
    return orjson.dumps(
        {"metadata": {}, "status": "Failure", "message": message, "reason": "InternalError", "code": 500}
    )
