"""Long answers: watches as chunked lines.

Events are pushed to connections that have room for them. A full one has its own task wait, and is cut when its client
takes nothing for `_PATIENCE`: it resumes from the last event it read, and holds no memory until then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import orjson

from orchestrator import errors
from orchestrator.apiserver.exchange import Disconnected, Exchange
from orchestrator.apiserver.render import Renderer
from orchestrator.apiserver.watch import Event, Push

log = logging.getLogger(__name__)

_BATCH = 512 * 1024  # bytes of events sent at once
_PATIENCE = 60.0  # seconds that a client may leave its connection full


async def stream_events(
    exchange: Exchange, opening: Callable[[Push], Awaitable[AsyncIterator[list[Event]]]], renderer: Renderer
) -> None:
    """Write the watch that `opening` makes of a push, until it ends or the client goes; an error after the start is an
    ERROR event.
    """

    def push(events: Sequence[Event]) -> bool:
        lines = b"".join([renderer.event(event) for event in events])
        return len(lines) <= _BATCH and exchange.push(lines)

    writer = asyncio.current_task()
    assert writer is not None
    gone = asyncio.create_task(exchange.disconnected(), name="watch-disconnect")
    gone.add_done_callback(lambda task: None if task.cancelled() else writer.cancel())
    events: AsyncIterator[list[Event]] | None = None
    try:
        events = await _open(exchange, opening(push), renderer)
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
            await _write_in_time(exchange, b"".join(lines))
            lines, size = [], 0
    if lines:
        await _write_in_time(exchange, b"".join(lines))


async def _write_in_time(exchange: Exchange, chunk: bytes) -> None:
    """Raises: Disconnected, having cut off a client that takes nothing."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await exchange.write(chunk)
    except TimeoutError:
        log.info("a watch of %s is cut off: its client took nothing for %.0f s", exchange.path, _PATIENCE)
        exchange.cut()
        await exchange.write(b"")  # returns when the connection is gone
        raise Disconnected from None
