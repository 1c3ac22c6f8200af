"""A local copy of every object of one kind, kept current by list and watch, with indexes and handlers.

Reads never wait. The copy also holds what this process has just written (`observe`), before the watch says so: the
store's revisions are one sequence and a watch delivers them in order, so the newer of two versions is simply the one
with the higher resourceVersion, and an answer older than the watch's position is already known. A reconciler therefore
never acts twice because its own write was not visible yet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from orchestrator.client import ApiClient, WatchEvent
from orchestrator.errors import ApiError, Expired, Gone, NotFound
from orchestrator.machinery.clock import Clock, RealClock
from orchestrator.machinery.workqueue import retry_delay
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Key, Obj, key_of, revision_of, uid_of

log = logging.getLogger(__name__)

Handler = Callable[[Obj | None, Obj | None], None]
"""Called with (old, new): (None, new) added, (old, new) changed, (old, None) gone. Must not block or change them."""
Indexer = Callable[[Obj], Iterable[str]]
Transform = Callable[[Obj], Obj]


def metadata_only(obj: Obj) -> Obj:
    """A transform for who only needs to know that an object exists, and whose it is."""
    meta = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind"), "metadata": meta}


class Informer:
    def __init__(
        self, client: ApiClient, resource: Resource, *, clock: Clock | None = None, transform: Transform | None = None
    ) -> None:
        self.client, self.resource = client, resource
        self.clock: Clock = clock or RealClock()
        self.synced = asyncio.Event()
        self.position = 0
        """The watch has delivered everything up to this revision."""
        self.transform = transform
        self._objects: dict[Key, Obj] = {}
        self._indexers: dict[str, Indexer] = {}
        self._indexes: dict[str, dict[str, dict[Key, None]]] = {}
        self._handlers: list[Handler] = []
        self._waiters: dict[Key, list[asyncio.Future[None]]] = {}

    # reading

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Obj]:
        return iter(list(self._objects.values()))

    def get(self, key: Key) -> Obj | None:
        return self._objects.get(key)

    def with_newest_status(self, seen: Obj) -> Obj:
        """`seen`, which was acted on, with the status and version it has by now: others write conditions too."""
        newest = self._objects.get(key_of(seen))
        if newest is None or newest["metadata"].get("uid") != seen["metadata"].get("uid"):
            return seen
        generation = {"generation": seen["metadata"]["generation"]} if "generation" in seen["metadata"] else {}
        return {**seen, "metadata": {**newest["metadata"], **generation}, "status": newest.get("status") or {}}

    def keys(self) -> list[Key]:
        return list(self._objects)

    def indexed(self, index: str, value: str) -> list[Obj]:
        """The objects whose `index` holds `value`, oldest in the cache first."""
        return [self._objects[key] for key in self._indexes[index].get(value, ())]

    def count(self, index: str, value: str) -> int:
        return len(self._indexes[index].get(value, ()))

    def add_index(self, name: str, indexer: Indexer) -> None:
        """Adding one that exists does nothing: several reconcilers share an index by its name."""
        if name in self._indexers:
            return
        self._indexers[name] = indexer
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            self._insert(name, indexer(obj), key)

    def add_handler(self, handler: Handler) -> None:
        """`handler` is first told of all that is known, then of every change."""
        self._handlers.append(handler)
        for obj in list(self._objects.values()):
            handler(None, obj)

    # own writes

    def observe(self, obj: Obj) -> None:
        """Take in the answer to a write of this process, unless the watch already told of it or of something newer."""
        if revision_of(obj) > self.position and self.synced.is_set():
            self._store(obj)

    async def until(self, key: Key, condition: Callable[[Obj | None], bool], within: float) -> bool:
        """Wait until the object at `key` (None when absent) satisfies `condition`; False when time ran out."""
        deadline = self.clock.monotonic() + within
        while not condition(self._objects.get(key)):
            remaining = deadline - self.clock.monotonic()
            if remaining <= 0:
                return False
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(key, []).append(waiter)
            timer = self.clock.call_later(remaining, lambda w=waiter: w.done() or w.set_result(None))  # type: ignore[misc]
            try:
                await waiter
            finally:
                timer.cancel()
                self._forget_waiter(key, waiter)
        return True

    # following

    async def run(self) -> None:
        """List, watch, and start over when the watch is lost, until cancelled."""
        failures = 0
        while True:
            try:
                if self.position == 0:
                    await self._relist()
                position = self.position
                await self._follow()
                failures = 0 if self.position > position else failures
            except (Expired, Gone):
                self.position = 0
            except ApiError as error:
                log.warning("watch of %s failed: %s; trying again", self.resource, error.message)
                if isinstance(error, NotFound):
                    self._replace([], self.position)
            except (OSError, EOFError) as error:
                log.warning("connection for %s lost: %s; trying again", self.resource, error)
            failures += 1
            await self.clock.sleep(min(retry_delay(failures), 10.0))

    async def _relist(self) -> None:
        found = await self.client.list(self.resource)
        self._replace(found.items, int(found.resource_version or 0))
        self.synced.set()

    async def _follow(self) -> None:
        async for event in self.client.watch(self.resource, resource_version=str(self.position)):
            self.apply(event)

    def apply(self, event: WatchEvent) -> None:
        """Take in one watch event."""
        revision = revision_of(event.object)
        if event.type == "DELETED":
            self._remove(key_of(event.object), revision)
        elif event.type != "BOOKMARK":
            self._store(event.object)
        self.position = max(self.position, revision)

    def _replace(self, objects: list[Obj], revision: int) -> None:
        listed = {key_of(obj) for obj in objects}
        for key in [key for key, old in self._objects.items() if key not in listed and revision_of(old) <= revision]:
            self._remove(key, revision)
        for obj in objects:
            self._store(obj)
        self.position = revision

    def _store(self, obj: Obj) -> None:
        key = key_of(obj)
        old = self._objects.get(key)
        if old is not None:
            ahead = revision_of(obj) - revision_of(old)
            if ahead < 0:
                return
            if ahead == 0:
                if self.transform is None:
                    self._objects[key] = obj  # the watch's copy is shared with the server's: keep that one
                return
        new = self.transform(obj) if self.transform else obj
        if old is not None and uid_of(old) != uid_of(new):
            self._remove(key, revision_of(new))
            old = None
        self._objects[key] = new
        self._reindex(key, old, new)
        self._notify(key, old, new)

    def _remove(self, key: Key, revision: int) -> None:
        old = self._objects.get(key)
        if old is None or revision_of(old) > revision:
            return
        del self._objects[key]
        self._reindex(key, old, None)
        self._notify(key, old, None)

    def _reindex(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        for name, indexer in self._indexers.items():
            before = set(indexer(old)) if old is not None else set()
            after = set(indexer(new)) if new is not None else set()
            for value in before - after:
                bucket = self._indexes[name].get(value)
                if bucket is not None:
                    bucket.pop(key, None)
                    if not bucket:
                        del self._indexes[name][value]
            self._insert(name, after - before, key)

    def _insert(self, name: str, values: Iterable[str], key: Key) -> None:
        index = self._indexes[name]
        for value in values:
            index.setdefault(value, {})[key] = None

    def _notify(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        for handler in list(self._handlers):
            try:
                handler(old, new)
            except Exception:  # one handler's mistake must not stop the others or the watch
                log.exception("a handler of %s failed on %s", self.resource, key)
        for waiter in self._waiters.pop(key, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _forget_waiter(self, key: Key, waiter: asyncio.Future[None]) -> None:
        waiters = self._waiters.get(key)
        if waiters and waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[key]


class Informers:
    """One informer a kind, started when first asked for, shared by everyone in this process."""

    def __init__(self, client: ApiClient, clock: Clock | None = None) -> None:
        self.client = client
        self.clock: Clock = clock or RealClock()
        self._informers: dict[str, Informer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running = False

    def of(self, resource: Resource, *, transform: Transform | None = None) -> Informer:
        """The shared informer of `resource`; `transform` when a part of each object is enough for the caller. It keeps
        whole objects as soon as callers need different parts, which must be said before `start`.
        """
        informer = self._informers.get(resource.storage_key)
        if informer is None:
            informer = Informer(self.client, resource, clock=self.clock, transform=transform)
            self._informers[resource.storage_key] = informer
            if self._running:
                self._start(resource.storage_key, informer)
        elif informer.transform is not None and informer.transform is not transform:
            if self._running:
                raise RuntimeError(f"{resource} is followed in part only; ask for all of it before the start")
            informer.transform = None
        return informer

    def known(self, resource: Resource) -> Informer | None:
        return self._informers.get(resource.storage_key)

    def start(self) -> None:
        self._running = True
        for name, informer in self._informers.items():
            if name not in self._tasks:
                self._start(name, informer)

    def _start(self, name: str, informer: Informer) -> None:
        self._tasks[name] = asyncio.create_task(informer.run(), name=f"informer {name}")

    def drop(self, resource: Resource) -> None:
        """Stop following a kind that is no longer served."""
        self._informers.pop(resource.storage_key, None)
        if task := self._tasks.pop(resource.storage_key, None):
            task.cancel()

    async def synced(self) -> None:
        for informer in list(self._informers.values()):
            await informer.synced.wait()

    async def stop(self) -> None:
        self._running = False
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def observe(self, resource: Resource, obj: Any) -> None:
        if (informer := self._informers.get(resource.storage_key)) is not None:
            informer.observe(obj)
