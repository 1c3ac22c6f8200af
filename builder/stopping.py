"""Work in threads, which nobody can cancel, ended when whoever waits for it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TypeVar, cast

Done = TypeVar("Done")
One = TypeVar("One")


class Abandoned(Exception):
    """Nobody waits for the work any more."""


async def stoppable(work: Callable[[threading.Event], Done]) -> Done:
    """What `work` returns, run in a thread. When this is cancelled, the event is set, and the cancellation goes on once
    `work` has ended: it changes nothing after that."""
    stop = threading.Event()
    working = asyncio.create_task(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([working])
        working.exception()  # it was told to end: whatever it raised is answered
        raise


class StoppableStream:
    def __init__(self, stream: IO[bytes], stop: threading.Event) -> None:
        self._stream, self._stop = stream, stop

    def read(self, size: int = -1) -> bytes:
        if self._stop.is_set():
            raise Abandoned
        return self._stream.read(size)


def stoppable_stream(stream: IO[bytes], stop: threading.Event) -> IO[bytes]:
    """`stream`, to be read until `stop`; reads raise Abandoned then."""
    return cast(IO[bytes], StoppableStream(stream, stop))


def until_stopped(entries: Iterable[One], stop: threading.Event) -> Iterator[One]:
    """`entries`, until `stop`. Raises: Abandoned."""
    for entry in entries:
        if stop.is_set():
            raise Abandoned
        yield entry
