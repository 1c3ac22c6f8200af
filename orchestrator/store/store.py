"""The store: every object's current state in memory, in front of a durable log with one global revision.

Readers see only what is durable. Writers see what is queued, too (`latest`), so a read-modify-write that does not
await between `latest` and `write` can never conflict with another one in this process; its change is only visible, and
its caller only answered, once the log has it on disk. When the disk refuses a batch, every queued write fails and none
of them was ever visible.
"""

from __future__ import annotations

import asyncio
import bisect
from collections import deque
from collections.abc import Iterator, Sequence

from orchestrator.objects.meta import Key, Obj
from orchestrator.store.log import Log
from orchestrator.store.record import Change, Compacted, Exists, Missing, Record, Stale, WriteFailed
from orchestrator.store.sharing import share_field_sets
from orchestrator.store.watch import FieldIs, Hub, Watcher, field_value

WINDOW = 4096  # changes kept in memory; older ones are read from the log
RECENT = 256  # replaced records that stay decoded, for watchers that are about to compare them
SELDOM_READ = ("events",)  # resources whose records are sent far more often than looked into


class Table:
    """The live records of one resource, in key order."""

    def __init__(self) -> None:
        self.records: dict[Key, Record] = {}
        self.changed = 0  # revision of the resource's last change
        self._order: list[Key] | None = []

    def apply(self, change: Change) -> None:
        key = change.record.key
        self.changed = change.revision
        if change.type == "DELETED":
            self.records.pop(key, None)
            self._order = None
            return
        if key not in self.records:
            self._order = None
        self.records[key] = change.record

    def keys(self) -> list[Key]:
        if self._order is None:
            self._order = sorted(self.records)
        return self._order

    def ordered(self, namespace: str = "") -> list[Record]:
        """Records by namespace and name; of one namespace, or of all when it is empty."""
        keys, records = self.keys(), self.records
        if namespace:
            start = bisect.bisect_left(keys, Key(namespace, ""))
            end = bisect.bisect_left(keys, Key(namespace + "\0", ""))
            keys = keys[start:end]
        return [records[key] for key in keys]


class Store:
    def __init__(self, log: Log, window: int = WINDOW) -> None:
        self._log = log
        self.revision = 0  # of the newest durable change
        self.compacted = 0
        self._next = 1
        self._tables: dict[str, Table] = {}
        self._hubs: dict[str, Hub] = {}
        self._window: deque[Change] = deque(maxlen=window)
        self._replaced: deque[Record] = deque()
        self._queued: dict[tuple[str, Key], Change] = {}
        self._waiting: deque[tuple[Change, asyncio.Future[Record]]] = deque()
        self._epoch = 0
        self._closed = False

    def open(self) -> None:
        """Read the log; must run inside the event loop that will use the store."""
        loaded = self._log.open()
        for change in loaded.changes:
            self._table(change.record.resource).apply(change)
            self._window.append(change)
        self.revision, self.compacted = loaded.revision, loaded.compacted
        self._next = self.revision + 1
        self._log.start(self._committed, self._write_failed)

    async def close(self) -> None:
        """Finish the queued writes, end every watch and release the file."""
        self._closed = True
        await self._log.close()
        await asyncio.sleep(0)
        self.close_watches()

    def close_watches(self) -> None:
        for hub in self._hubs.values():
            for watcher in hub.watchers():
                watcher.close("the store closes")

    @property
    def closed(self) -> bool:
        return self._closed

    # --- reads

    def get(self, resource: str, key: Key) -> Record | None:
        table = self._tables.get(resource)
        return table.records.get(key) if table else None

    def latest(self, resource: str, key: Key) -> Record | None:
        """The record including queued writes: what the next write will be compared with."""
        change = self._queued.get((resource, key))
        if change is None:
            return self.get(resource, key)
        return None if change.type == "DELETED" else change.record

    def list(self, resource: str, namespace: str = "") -> list[Record]:
        table = self._tables.get(resource)
        return table.ordered(namespace) if table else []

    def list_latest(self, resource: str) -> Iterator[Record]:
        """Every record including queued writes, in no order."""
        queued = {key: change for (of, key), change in self._queued.items() if of == resource}
        table = self._tables.get(resource)
        for key, record in (table.records if table else {}).items():
            if key not in queued:
                yield record
        yield from (change.record for change in queued.values() if change.type != "DELETED")

    def changed(self, resource: str) -> int:
        """The revision of the resource's last change, 0 if it never had one."""
        table = self._tables.get(resource)
        return table.changed if table else 0

    def counts(self) -> dict[str, int]:
        return {resource: len(table.records) for resource, table in self._tables.items()}

    def watch_counts(self) -> dict[str, int]:
        return {resource: len(hub) for resource, hub in self._hubs.items()}

    async def list_at(self, resource: str, revision: int, namespace: str = "") -> Sequence[Record]:
        """The records as they were at `revision`. Raises: Compacted."""
        if revision < self.compacted:
            raise Compacted(f"revision {revision} is older than the oldest kept, {self.compacted}")
        if revision >= self.changed(resource):
            return self.list(resource, namespace)
        until = self.revision
        records = {record.key: record for record in self.list(resource, namespace)}
        for change in reversed(await self._history(resource, revision, until)):
            key = change.record.key
            if namespace and key.namespace != namespace:
                continue
            if change.previous is None or change.type == "ADDED":
                records.pop(key, None)
            else:
                records[key] = change.previous
        return [records[key] for key in sorted(records)]

    async def _history(self, resource: str, after: int, until: int) -> Sequence[Change]:
        if after < self.compacted:
            raise Compacted(f"revision {after} is older than the oldest kept, {self.compacted}")
        if not self._window or self._window[0].revision > after + 1:
            changes = await self._log.history(resource, after, until)
            if after < self.compacted:
                raise Compacted(f"revision {after} is older than the oldest kept, {self.compacted}")
            return changes
        return [c for c in self._window if after < c.revision <= until and c.record.resource == resource]

    # --- writes

    async def create(self, resource: str, key: Key, obj: Obj) -> Record:
        """Raises: Exists, WriteFailed."""
        if self.latest(resource, key) is not None:
            raise Exists(f"{resource} {key} exists")
        return await self._write("ADDED", resource, key, obj, None)

    async def update(self, resource: str, key: Key, obj: Obj, *, expect: int | None = None) -> Record:
        """Raises: Missing, Stale, WriteFailed."""
        return await self._write("MODIFIED", resource, key, obj, self._expected(resource, key, expect))

    async def delete(self, resource: str, key: Key, *, expect: int | None = None, final: Obj | None = None) -> Record:
        """Remove; watchers see `final` (default: the last state). Raises: Missing, Stale, WriteFailed."""
        previous = self._expected(resource, key, expect)
        return await self._write("DELETED", resource, key, final or previous.obj, previous)

    def _expected(self, resource: str, key: Key, expect: int | None) -> Record:
        previous = self.latest(resource, key)
        if previous is None:
            raise Missing(f"{resource} {key} does not exist")
        if expect is not None and previous.revision != expect:
            raise Stale(f"{resource} {key} is at revision {previous.revision}, not {expect}")
        return previous

    def _write(self, type, resource, key, obj, previous) -> asyncio.Future[Record]:  # type: ignore[no-untyped-def]
        if self._closed:
            raise WriteFailed("the store is closing")
        revision = self._next
        self._next += 1
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(revision)}}
        share_field_sets(obj)
        change = Change(type, Record(resource, key, revision, obj), previous)
        self._queued[resource, key] = change
        done: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, done))
        self._log.append(change, self._epoch)
        return asyncio.shield(done)

    def _committed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            record = change.record
            expected, done = self._waiting.popleft()
            assert expected is change, "the log reports commits in the order of appends"
            self.revision = change.revision
            self._table(record.resource).apply(change)
            self._remember(change)
            if self._queued.get((record.resource, record.key)) is change:
                del self._queued[record.resource, record.key]
            if hub := self._hubs.get(record.resource):
                hub.publish(change)
            if record.resource in SELDOM_READ:
                record.forget_decoded()
            if not done.done():
                done.set_result(record)

    def _remember(self, change: Change) -> None:
        """Keep the change for watchers to come; what it replaced soon keeps its encoded form only."""
        self._window.append(change)
        if change.previous is not None:
            self._replaced.append(change.previous)
            if len(self._replaced) > RECENT:
                self._replaced.popleft().forget_decoded()

    def _write_failed(self, exc: BaseException) -> None:
        self._epoch += 1
        self._queued.clear()
        waiting, self._waiting = self._waiting, deque()
        self._next = self.revision + 1
        for _, done in waiting:
            if not done.done():
                error = WriteFailed(
                    f"the store could not write to disk ({exc}); free space or check the file, then retry"
                )
                done.set_exception(error)
                done.exception()  # the caller may have gone: do not report it as never retrieved

    # --- watch

    async def watch(self, resource: str, after: int, *, field: FieldIs | None = None) -> Watcher:
        """A watcher that sees every change after `after`, none twice. Raises: Compacted."""
        hub = self._hubs.setdefault(resource, Hub())
        watcher = Watcher(hub, field)
        hub.add(watcher)
        if after < self.changed(resource):
            try:
                changes = await self._history(resource, after, self.revision)
            except BaseException:
                watcher.close()
                raise
            watcher.replay([c for c in changes if _concerns(c, field)])
        return watcher

    async def compact(self, revision: int) -> None:
        """Forget superseded changes at or before `revision`; watches from before it are then Expired."""
        revision = min(revision, self.revision)
        if revision <= self.compacted:
            return
        self.compacted = revision
        await self._log.compact(revision)
        while self._window and self._window[0].revision <= revision:
            self._window.popleft()

    def _table(self, resource: str) -> Table:
        table = self._tables.get(resource)
        if table is None:
            table = self._tables[resource] = Table()
        return table


def _concerns(change: Change, field: FieldIs | None) -> bool:
    if field is None or field_value(change.record.obj, field.path) == field.value:
        return True
    return change.previous is not None and field_value(change.previous.obj, field.path) == field.value
