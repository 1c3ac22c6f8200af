"""Where changes become durable: the seam under the store, and the implementation that forgets at exit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from orchestrator.store.record import Change


class Loaded(NamedTuple):
    """What a log held when it was opened; `changes` are in revision order and include every live object's last one."""

    revision: int
    compacted: int
    changes: Iterable[Change]


OnCommit = Callable[[Sequence[Change]], None]
OnFailure = Callable[[BaseException], None]


class Log(Protocol):
    """An append-only list of changes. All methods are called from the store's event loop."""

    def open(self) -> Loaded:
        """What is there; `previous` of a change may be None when it was compacted away."""

    def start(self, on_commit: OnCommit, on_failure: OnFailure) -> None:
        """Begin to accept changes; both callbacks run in the caller's event loop, commits in revision order."""

    def append(self, change: Change, epoch: int) -> None:
        """Queue a change. After a failure, changes of that epoch and older are dropped."""

    async def history(self, resource: str, after: int, until: int) -> list[Change]:
        """The resource's changes with after < revision <= until, each with its previous record."""

    async def compact(self, revision: int) -> None:
        """Forget what was superseded or deleted at or before `revision`."""

    async def close(self) -> None:
        """Make what was queued durable, then release the file."""


class MemoryLog:
    """A log for tests and for the simulated control plane: as ordered as the durable one, gone with the process."""

    def __init__(self) -> None:
        self._changes: list[Change] = []
        self._queued: list[Change] = []
        self._compacted = 0

    def open(self) -> Loaded:
        return Loaded(self._changes[-1].revision if self._changes else 0, self._compacted, list(self._changes))

    def start(self, on_commit: OnCommit, on_failure: OnFailure) -> None:
        self._on_commit = on_commit

    def append(self, change: Change, epoch: int) -> None:
        if not self._queued:
            asyncio.get_running_loop().call_soon(self._commit)
        self._queued.append(change)

    def _commit(self) -> None:
        batch, self._queued = self._queued, []
        if batch:
            self._changes += batch
            self._on_commit(batch)

    async def history(self, resource: str, after: int, until: int) -> list[Change]:
        return [c for c in self._changes if after < c.revision <= until and c.record.resource == resource]

    async def compact(self, revision: int) -> None:
        superseded = {c.previous.revision for c in self._changes if c.previous and c.revision <= revision}
        self._changes = [
            c for c in self._changes if c.revision > revision or not (c.type == "DELETED" or c.revision in superseded)
        ]
        self._compacted = revision

    async def close(self) -> None:
        self._commit()
