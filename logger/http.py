"""As much of an HTTP client as is needed here, on asyncio streams: one request a connection, bodies whole or in pieces.

A library for it would weigh more than the rest of this program.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from logger.errors import Refused

CONNECT_TIMEOUT = 10.0  # seconds until the head of the answer
LONGEST_BODY = 256 * 1024 * 1024  # bytes of an answer that is read as a whole
CHUNK = 64 * 1024


@dataclass
class Answer:
    """An answer whose body is still to be read."""

    status: int
    headers: dict[str, str]
    reader: asyncio.StreamReader

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises: OSError, asyncio.IncompleteReadError when it breaks off."""
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                while size:
                    piece = await self.reader.read(min(size, CHUNK))
                    if not piece:
                        raise asyncio.IncompleteReadError(b"", size)
                    size -= len(piece)
                    yield piece
                await self.reader.readexactly(2)
            return
        left = int(self.headers.get("content-length") or LONGEST_BODY)
        while left and (piece := await self.reader.read(min(left, CHUNK))):
            left -= len(piece)
            yield piece

    async def body(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])


@asynccontextmanager
async def request(
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    method: str,
    target: str,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    patience: float = CONNECT_TIMEOUT,
    name: str = "",
) -> AsyncIterator[Answer]:
    """The answer once its head is there, whatever its status; `name` is the host's when `host` is its address.

    Raises: OSError, TimeoutError.
    """
    name = name or host
    async with asyncio.timeout(patience):
        reader, writer = await asyncio.open_connection(
            host, port, ssl=tls, limit=CHUNK * 4, server_hostname=name if tls else None
        )
    try:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {name}:{port}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body or method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        async with asyncio.timeout(patience):
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
            await writer.drain()
            answer = await read_head(reader)
        yield answer  # its body may take as long as it likes
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, IndexError) as exc:
        raise ConnectionError(f"{name}:{port} broke off its answer") from exc
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()


async def read_head(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Answer(int(first.split()[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}, reader)


async def refuse_unless_ok(answer: Answer) -> None:
    """Raises: Refused with the server's words."""
    if answer.status >= 300:
        raise Refused(answer.status, (await answer.body())[:300].decode("utf-8", "replace"))
