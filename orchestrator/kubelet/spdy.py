"""As much of SPDY/3.1 as port forwarding needs: streams with headers, data in both directions, the ends of each.

kubectl tunnels it through a WebSocket; the bytes are the same. Peers here (moby/spdystream) use no flow control.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Awaitable, Callable

from orchestrator.errors import OrchestratorError

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 0x01
VERSION = 3
CANCEL = 5  # the status of a stream that ends early
LONGEST_FRAME = 16 * 2**20
QUEUE = 64  # chunks a stream may be ahead of its reader

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
).split()
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _length_prefixed(word: str) -> bytes:
    return struct.pack(">I", len(word)) + word.encode()


DICTIONARY = (
    b"".join(
        map(_length_prefixed, [*_WORDS, "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive"])
    )
    + _length_prefixed("origin")
    + _TAIL.encode()
)
"""What both ends prime their header compression with (SPDY/3, section 2.6.10.1); its Adler-32 is 0xe3c6a7c2."""


class SpdyError(OrchestratorError):
    """The peer broke the protocol; the connection can't go on."""


class HeaderCodec:
    """Headers of one connection: each direction is one zlib stream."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def encode(self, headers: dict[str, str]) -> bytes:
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            block += _length_prefixed(name.lower()) + _length_prefixed(value)
        return self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def decode(self, data: bytes) -> dict[str, str]:
        try:
            block = self._inflate.decompress(data)
            (count,), at, words = struct.unpack_from(">I", block), 4, []
            for _ in range(count * 2):
                (size,) = struct.unpack_from(">I", block, at)
                words.append(block[at + 4 : at + 4 + size].decode())
                at += 4 + size
        except (zlib.error, struct.error, UnicodeDecodeError) as exc:
            raise SpdyError(f"the headers of a SPDY stream can't be read: {exc}") from exc
        return dict(zip(words[::2], words[1::2], strict=True))


def data_frame(stream: int, data: bytes, *, last: bool = False) -> bytes:
    return struct.pack(">II", stream & 0x7FFFFFFF, (FIN if last else 0) << 24 | len(data)) + data


def control_frame(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return struct.pack(">HHI", 0x8000 | VERSION, kind, flags << 24 | len(payload)) + payload


Send = Callable[[bytes], Awaitable[None]]


class SpdyStream:
    """One stream the peer opened."""

    def __init__(self, connection: SpdyConnection, number: int, headers: dict[str, str]) -> None:
        self.headers = headers
        self._connection, self._number = connection, number
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue(QUEUE)
        self._ended = False

    async def read(self) -> bytes:
        """The next bytes; none at the end."""
        if self._ended:
            return b""
        data = await self._incoming.get()
        self._ended = not data
        return data

    async def write(self, data: bytes) -> None:
        await self._connection.send(data_frame(self._number, data))

    async def end(self) -> None:
        """No more from this side."""
        await self._connection.send(data_frame(self._number, b"", last=True))

    async def reset(self) -> None:
        await self._connection.send(control_frame(RST_STREAM, struct.pack(">II", self._number, CANCEL)))

    async def take(self, data: bytes) -> None:
        await self._incoming.put(data)


class SpdyConnection:
    """The server's side: `receive` takes bytes as they come, `accept` is called with each stream the peer opens."""

    def __init__(self, send: Send, accept: Callable[[SpdyStream], None]) -> None:
        self._send, self._accept = send, accept
        self._headers = HeaderCodec()
        self._buffer = bytearray()
        self._streams: dict[int, SpdyStream] = {}
        self._lock = asyncio.Lock()

    async def send(self, frame: bytes) -> None:
        async with self._lock:
            await self._send(frame)

    async def receive(self, data: bytes) -> None:
        """Raises: SpdyError."""
        self._buffer += data
        while len(self._buffer) >= 8:
            head, rest = struct.unpack_from(">II", self._buffer)
            size = rest & 0xFFFFFF
            if size > LONGEST_FRAME:
                raise SpdyError(f"a SPDY frame of {size} bytes is too long")
            if len(self._buffer) < 8 + size:
                return
            payload = bytes(self._buffer[8 : 8 + size])
            del self._buffer[: 8 + size]
            if head & 0x80000000:
                await self._control(head & 0xFFFF, rest >> 24, payload)
            else:
                await self._data(head, rest >> 24, payload)

    async def close(self) -> None:
        """The peer left: every stream ends."""
        for stream in self._streams.values():
            await stream.take(b"")
        self._streams.clear()

    async def _data(self, number: int, flags: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        if payload:
            await stream.take(payload)
        if flags & FIN:
            await stream.take(b"")

    async def _control(self, kind: int, flags: int, payload: bytes) -> None:
        if kind == SYN_STREAM:
            number = struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF
            stream = SpdyStream(self, number, self._headers.decode(payload[10:]))
            self._streams[number] = stream
            async with self._lock:
                reply = struct.pack(">I", number) + self._headers.encode({})
                await self._send(control_frame(SYN_REPLY, reply))
            if flags & FIN:
                await stream.take(b"")
            self._accept(stream)
        elif kind == HEADERS:
            self._headers.decode(payload[4:])
        elif kind == RST_STREAM:
            number = struct.unpack_from(">I", payload)[0] & 0x7FFFFFFF
            if (reset := self._streams.pop(number, None)) is not None:
                await reset.take(b"")
        elif kind == PING:
            await self.send(control_frame(PING, payload))
        elif kind == GOAWAY:
            await self.close()
