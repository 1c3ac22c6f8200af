"""Work that is stopped by what something beside it finds out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def watched(watch: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """While `watch` runs beside it; an error of `watch` stops what is within and is raised in its place."""
    body, task, within = asyncio.current_task(), asyncio.create_task(watch), True
    assert body is not None

    def stop(done: asyncio.Task[None]) -> None:
        if within and not done.cancelled() and done.exception():
            body.cancel()

    task.add_done_callback(stop)
    try:
        yield
    except asyncio.CancelledError:
        if task.done() and not task.cancelled() and (found := task.exception()):
            body.uncancel()
            raise found from None
        raise
    finally:
        within = False
        task.cancel()
