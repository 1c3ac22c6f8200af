"""SPDY/3.1 on a connection of its own: what Go clients older than 1.30 upgrade to, for commands and for ports.

They name the sub-protocols they know in `X-Stream-Protocol-Version`; the answer names one of them. Source:
apimachinery pkg/util/httpstream/spdy, kubelet/pkg/cri/streaming/remotecommand/httpstream.go.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import web

from orchestrator.errors import Forbidden
from orchestrator.kubelet.spdy import SpdyConnection, SpdyStream

UPGRADE = "spdy/3.1"
CHUNK = 64 * 1024


def wants_spdy(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == UPGRADE


class SpdyResponse(web.StreamResponse):
    """The answer to an upgrade. aiohttp's protocol hands the connection over, and must not write to it again."""

    def __init__(self, request: web.Request, supported: Sequence[str], accept: Callable[[SpdyStream], None]) -> None:
        """Raises: Forbidden when the client knows none of `supported`."""
        super().__init__(status=101)
        known = [
            word.strip() for text in request.headers.getall("X-Stream-Protocol-Version", []) for word in text.split(",")
        ]
        shared = [name for name in supported if name in known]
        if not shared:
            raise Forbidden(f"unable to negotiate protocol: client supports {known}, server accepts {list(supported)}")
        self.protocol = shared[0]
        self._transport = request.transport
        self._reader = asyncio.StreamReader()
        self._writer: asyncio.StreamWriter | None = None
        self.connection = SpdyConnection(self._send, accept)

    def take_over(self) -> None:
        """Answers 101; from here on the connection carries frames."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client left before its connection was upgraded")
        protocol = asyncio.StreamReaderProtocol(self._reader)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, asyncio.get_running_loop())
        lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: SPDY/3.1"]
        lines.append(f"X-Stream-Protocol-Version: {self.protocol}")
        self._writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def serve(self) -> None:
        """Reads frames until the client leaves. Raises: SpdyError."""
        try:
            with contextlib.suppress(ConnectionError):
                while data := await self._reader.read(CHUNK):
                    await self.connection.receive(data)
        finally:
            await self.connection.close()

    async def _send(self, data: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(data)
            await self._writer.drain()

    async def finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(ConnectionError, TimeoutError):
                await self._writer.wait_closed()

    @property
    def keep_alive(self) -> bool:
        return False

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: Any = b"") -> None:
        return None
