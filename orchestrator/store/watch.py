"""Fan-out of changes to watchers.

A change is handed to every interested watcher as the same object. Watchers that name one value of one field (the pods
of a node, the objects of a namespace) are indexed by it, so that a change costs nothing to the thousands it does not
concern.

A watcher of a client far away has a `push` that writes to its connection without awaiting: waking a task for each of
hundreds costs more than what it writes. They are served in slices, so that requests are answered in between, and one
whose connection is full has its reader woken, which waits for it alone.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from orchestrator.objects.meta import Obj
from orchestrator.store.record import Change, WatchDropped

log = logging.getLogger(__name__)

Push = Callable[[Sequence[Change]], bool]
"""Takes changes without awaiting; False, and nothing taken, when it can't now."""
SLICE = 32  # watchers served in one turn of the event loop: half a millisecond
MAX_BEHIND = 20_000  # changes a watcher may have waiting before it is dropped; it can resume from its last revision


class FieldIs(NamedTuple):
    """`path` (dotted, such as spec.nodeName) equals `value`."""

    path: str
    value: str


def field_value(obj: Obj, path: str) -> str:
    """The string at a dotted path, "" when it is not there."""
    value: object = obj
    for part in path.split("."):
        if not isinstance(value, dict):
            return ""
        value = value.get(part)
    return value if isinstance(value, str) else ""


class Watcher:
    """One reader's queue of changes, in revision order."""

    def __init__(self, hub: Hub, field: FieldIs | None, backlog: Iterable[Change] = ()) -> None:
        self._hub, self.field = hub, field
        self.push: Push | None = None
        self._queue: deque[Change] = deque(backlog)
        self._waiting: asyncio.Future[None] | None = None
        self._closed = ""

    def offer(self, change: Change) -> None:
        self._queue.append(change)
        if len(self._queue) > MAX_BEHIND:
            self.close("the watcher fell too far behind")
        elif self.push is None:
            self._wake()
        else:
            self._hub.serve_soon(self)

    def serve(self) -> None:
        """Push what waits, if the reader is idle; wake the reader when that can't be."""
        if self.push is None or not self._queue or self._waiting is None or self._waiting.done():
            return
        try:
            taken = self.push(tuple(self._queue))
        except Exception:
            log.exception("a change could not be pushed to a watcher")
            taken = False
        if taken:
            self._queue.clear()
        else:
            self._wake()

    def replay(self, changes: list[Change]) -> None:
        """Put older changes in front of those that arrived while they were read."""
        self._queue.extendleft(reversed(changes))

    def take(self) -> list[Change]:
        """Everything that waits now, without waiting. Raises: WatchDropped."""
        if self._closed and not self._queue:
            raise WatchDropped(self._closed)
        changes = list(self._queue)
        self._queue.clear()
        return changes

    async def next(self, patience: float | None = None) -> list[Change]:
        """The changes that wait and weren't pushed, at least one; [] when `patience` seconds pass without any.

        Raises: WatchDropped.
        """
        if not self._queue and not self._closed:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                if patience is None:
                    await self._waiting
                else:
                    async with asyncio.timeout(patience):
                        await self._waiting
            except TimeoutError:
                pass  # a change may have come in the same turn
            finally:
                self._waiting = None
        return self.take()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def close(self, why: str = "the watch was closed") -> None:
        if not self._closed:
            self._closed = why
            if why != "the store closes":
                self._queue.clear()
            self._hub.remove(self)
            self._wake()


class Hub:
    """The watchers of one resource."""

    def __init__(self) -> None:
        self._all: dict[Watcher, None] = {}
        self._by_field: dict[str, dict[str, dict[Watcher, None]]] = {}
        self._due: dict[Watcher, None] = {}

    def __len__(self) -> int:
        indexed = (group for values in self._by_field.values() for group in values.values())
        return len(self._all) + sum(map(len, indexed))

    def add(self, watcher: Watcher) -> None:
        if watcher.field is None:
            self._all[watcher] = None
        else:
            path, value = watcher.field
            self._by_field.setdefault(path, {}).setdefault(value, {})[watcher] = None

    def serve_soon(self, watcher: Watcher) -> None:
        if not self._due:
            asyncio.get_running_loop().call_soon(self._serve_slice)
        self._due[watcher] = None

    def _serve_slice(self) -> None:
        for watcher in list(itertools.islice(self._due, SLICE)):
            del self._due[watcher]
            watcher.serve()
        if self._due:
            asyncio.get_running_loop().call_soon(self._serve_slice)

    def remove(self, watcher: Watcher) -> None:
        self._due.pop(watcher, None)
        if watcher.field is None:
            self._all.pop(watcher, None)
            return
        path, value = watcher.field
        values = self._by_field.get(path, {})
        group = values.get(value, {})
        group.pop(watcher, None)
        if not group:
            values.pop(value, None)
        if not values:
            self._by_field.pop(path, None)

    def publish(self, change: Change) -> None:
        for watcher in list(self._all):
            watcher.offer(change)
        for path, values in list(self._by_field.items()):
            now = field_value(change.record.obj, path)
            before = field_value(change.previous.obj, path) if change.previous else now
            for watcher in list(values.get(now, ())):
                watcher.offer(change)
            if before != now:
                for watcher in list(values.get(before, ())):
                    watcher.offer(change)

    def watchers(self) -> list[Watcher]:
        indexed = [w for values in self._by_field.values() for group in values.values() for w in group]
        return [*self._all, *indexed]
