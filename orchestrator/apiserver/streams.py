"""Long answers: watches as chunked lines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable

import orjson

from orchestrator import errors
from orchestrator.apiserver.exchange import Exchange
from orchestrator.apiserver.render import Renderer
from orchestrator.apiserver.watch import Event

_BATCH = 512 * 1024  # bytes of events sent at once


async def stream_events(exchange: Exchange, opening: Awaitable[AsyncIterator[list[Event]]], renderer: Renderer) -> None:
    """Write the watch until it ends or the client goes; an error after the start is an ERROR event."""
    writer = asyncio.current_task()
    assert writer is not None
    gone = asyncio.create_task(exchange.disconnected(), name="watch-disconnect")
    gone.add_done_callback(lambda task: None if task.cancelled() else writer.cancel())
    events: AsyncIterator[list[Event]] | None = None
    try:
        events = await _open(exchange, opening, renderer)
        async for batch in events:
            await _write(exchange, batch, renderer)
        await exchange.write(b"", more=False)
    except asyncio.CancelledError:
        if not gone.done():
            raise
    except errors.ApiError as error:
        if not exchange.started:
            raise
        await exchange.write(orjson.dumps({"type": "ERROR", "object": error.status()}) + b"\n", more=False)
    finally:
        gone.cancel()
        if events is not None:
            await events.aclose()  # type: ignore[attr-defined]


async def _open(
    exchange: Exchange, opening: Awaitable[AsyncIterator[list[Event]]], renderer: Renderer
) -> AsyncIterator[list[Event]]:
    """The watch, its headers sent at once so the client knows it runs; an expired one answers inside the stream."""
    try:
        events = await opening
    except errors.Expired:
        await exchange.start(200, renderer.content_type)
        raise
    await exchange.start(200, renderer.content_type)
    await exchange.write(b"")
    return events


async def _write(exchange: Exchange, events: list[Event], renderer: Renderer) -> None:
    lines: list[bytes] = []
    size = 0
    for event in events:
        line = renderer.event(event)
        lines.append(line)
        size += len(line)
        if size >= _BATCH:
            await exchange.write(b"".join(lines))
            lines, size = [], 0
    if lines:
        await exchange.write(b"".join(lines))
