"""A build's output to an HTTP client: lines of JSON, `{"output": text}` as it comes, then how it ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from builder.progress import Progress

NDJSON = "application/x-ndjson"
HIGH_WATER = 1 << 20  # bytes a slow client may be behind before the build waits for it
ALIVE = 15.0  # seconds of silence before an empty line keeps the connection


class BuildStream:
    """`async with` it around a build: its `progress` goes to the client."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response = web.StreamResponse(headers={"Content-Type": NDJSON, "Cache-Control": "no-store"})
        self.progress = Progress(self._put, drain=self._drained)
        self._pending: list[bytes] = []
        self._size = 0
        self._changed, self._taken = asyncio.Event(), asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> BuildStream:
        await self.response.prepare(self._request)
        self._sending = asyncio.create_task(self._send())
        self._sending.add_done_callback(lambda task: self._taken.set())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._sending is not None
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)

    async def end(self, **outcome: Any) -> web.StreamResponse:
        """Send what is left, and `outcome` as the last line."""
        assert self._sending is not None
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)
        await self._flush()
        await self.response.write(line_of(outcome))
        await self.response.write_eof()
        return self.response

    def _put(self, data: bytes) -> None:
        self._pending.append(data)
        self._size += len(data)
        self._changed.set()

    async def _drained(self) -> None:
        while self._size > HIGH_WATER and self._sending and not self._sending.done():
            self._taken.clear()
            await self._taken.wait()

    async def _send(self) -> None:
        while True:
            try:
                async with asyncio.timeout(ALIVE):
                    await self._changed.wait()
            except TimeoutError:
                await self.response.write(b"\n")
            self._changed.clear()
            await self._flush()

    async def _flush(self) -> None:
        if self._pending:
            text, self._pending = b"".join(self._pending), []
            await self.response.write(line_of({"output": text.decode(errors="replace")}))
            self._size -= len(text)
            self._taken.set()


def line_of(item: Mapping[str, Any]) -> bytes:
    return json.dumps(item).encode() + b"\n"
