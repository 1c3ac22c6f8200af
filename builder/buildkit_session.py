"""The session that the engine's BuildKit asks for secrets: gRPC over the connection that opened it, we are its server.

Only two methods are served: `GetSecret`, and the health check that BuildKit makes every second.
Source: moby/buildkit session/grpc.go, session/secrets/secrets.proto; grpc PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from builder.engine import Engine

log = logging.getLogger("builder.buildkit")
GET_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
HEALTH = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"  # HealthCheckResponse{status: SERVING}
NOT_FOUND, UNIMPLEMENTED = "5", "12"
READ = 1 << 16
REQUEST_MAX = 1 << 16  # bytes of a request; a secret's name fits


class Session:
    """Answers `secrets` while it is open; `id` is what the build names it by."""

    def __init__(self, engine: Engine, values: Mapping[str, bytes]) -> None:
        self._engine, self._values = engine, values
        self.id = secrets.token_hex(12)
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self._paths: dict[int, str] = {}
        self._bodies: dict[int, bytearray] = {}
        self._pending: dict[int, bytes] = {}  # answers that wait for the peer's window
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Session:
        """Raises: EngineError when the engine has no sessions."""
        headers = {
            "Upgrade": "h2c",
            "Connection": "Upgrade",
            "X-Docker-Expose-Session-Uuid": self.id,
            "X-Docker-Expose-Session-Name": "paas",
            "X-Docker-Expose-Session-Grpc-Method": GET_SECRET,
        }
        self._reader, self._writer = await self._engine.hijack("/session", headers)
        self._h2.initiate_connection()
        self._flush()
        self._task = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _serve(self) -> None:
        try:
            while data := await self._reader.read(READ):
                for event in self._h2.receive_data(data):
                    self._take(event)
                self._send_pending()
                self._flush()
                await self._writer.drain()
        except (OSError, h2.exceptions.ProtocolError) as exc:
            log.warning("a build session ended early: %s", exc)

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            headers = {str(name): str(value) for name, value in event.headers or ()}
            self._paths[event.stream_id] = headers.get(":path", "")
            self._bodies[event.stream_id] = bytearray()
        elif isinstance(event, h2.events.DataReceived) and event.stream_id in self._bodies:
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
            self._bodies[event.stream_id] += event.data or b""
            if len(self._bodies[event.stream_id]) > REQUEST_MAX:
                self._h2.reset_stream(event.stream_id, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
                self._forget(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self._forget(event.stream_id or 0)
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self._paths:
            self._answer(event.stream_id)

    def _answer(self, stream: int) -> None:
        path, body = self._paths.pop(stream), bytes(self._bodies.pop(stream))
        if path == HEALTH:
            self._begin(stream, SERVING)
        elif path != GET_SECRET:
            self._fail(stream, UNIMPLEMENTED, "not served")
        else:
            name = b"".join(value for number, value in fields(body[5:]) if number == 1 and isinstance(value, bytes))
            found = self._values.get(name.decode(errors="replace"))
            if found is None:
                self._fail(stream, NOT_FOUND, "there is no such secret")
            else:
                self._begin(stream, b"\x0a" + varint(len(found)) + found)

    def _begin(self, stream: int, message: bytes) -> None:
        self._h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        self._pending[stream] = b"\0" + len(message).to_bytes(4, "big") + message

    def _fail(self, stream: int, status: str, message: str) -> None:
        headers = [(":status", "200"), ("content-type", "application/grpc")]
        self._h2.send_headers(stream, [*headers, ("grpc-status", status), ("grpc-message", message)], end_stream=True)

    def _send_pending(self) -> None:
        """As much as the peer's windows take; the trailers after the last byte."""
        for stream in list(self._pending):
            while data := self._pending[stream]:
                room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size, len(data))
                if room <= 0:
                    break
                self._h2.send_data(stream, data[:room])
                self._pending[stream] = data[room:]
            if not self._pending[stream]:
                del self._pending[stream]
                self._h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)

    def _forget(self, stream: int) -> None:
        for known in (self._paths, self._bodies, self._pending):
            known.pop(stream, None)

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """(number, index after it). Raises: IndexError when the message ends within it."""
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a protobuf message: an integer, or the bytes of a string or inner message."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = read_varint(data, at)
            yield key >> 3, value
        elif kind == 2:
            size, at = read_varint(data, at)
            yield key >> 3, data[at : at + size]
            at += size
        else:
            size = {1: 8, 5: 4}[kind]
            yield key >> 3, data[at : at + size]
            at += size
