"""The real API server's core for tests: its verbs, validation and store, in this process, under a clock of the test's.

What reconcilers do against it is checked as clients would be: defaults, schemas, immutable fields, conflicts, graceful
deletion. Only durability (the log is in memory), the wire and users are left out.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.apiserver import naming
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.definitions import Definitions
from orchestrator.apiserver.local import LocalClient
from orchestrator.apiserver.signer import Signer
from orchestrator.machinery.clock import Clock, RealClock
from orchestrator.objects.kinds import NAMESPACES, PODMETRICS, Resource
from orchestrator.objects.meta import Key, Obj
from orchestrator.settings import ServerSettings
from orchestrator.store.log import MemoryLog
from orchestrator.store.record import Change, Record
from orchestrator.store.store import Store

NOWHERE = Path("/nonexistent")  # nothing is signed, read or kept
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class InProcessApi(LocalClient):
    """A client with hands behind the counter: `peek` and `writes` look into the store, `after_write` listens to it."""

    def __init__(self, clock: Clock | None = None, seed: int = 1) -> None:
        self.clock: Clock = clock or RealClock()
        naming._random.seed(seed)
        self.log = _ListenedLog()
        self.store = Store(self.log)
        settings = ServerSettings(data=NOWHERE)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        core = Api(self.store, settings, Signer(NOWHERE), tls, "the authority", now=self._seconds)
        super().__init__(core)
        self.core = core
        self.metrics = Metrics(self.store)
        core.computed = {PODMETRICS.storage_key: self.metrics}
        self.store.open()

    async def start(self) -> None:
        """What every cluster has; before anything else."""
        for name in ("default", "kube-node-lease", "kube-system"):
            await self.create(NAMESPACES, {"metadata": {"name": name}})
        self.definitions = Definitions(self.core)
        self.definitions.load()

    def _seconds(self) -> float:
        return (self.clock.now() - EPOCH).total_seconds()

    @property
    def writes(self) -> int:
        """How many writes were made, those included that are still on their way into the store."""
        return self.store._next - 1

    def peek(self, resource: Resource, namespace: str = "") -> list[Obj]:
        """What is stored now, without a turn of the loop, oldest first: for assertions and simulated kubelets."""
        found = [record.obj for record in self.store.list_latest(resource.storage_key)]
        found = [obj for obj in found if not namespace or obj["metadata"].get("namespace") == namespace]
        return sorted(found, key=lambda obj: (obj["metadata"]["creationTimestamp"], obj["metadata"]["name"]))

    def after_write(self, listener: Callable[[Change], None]) -> None:
        """Call `listener` with each change as soon as it is durable, before anybody else hears of it."""
        self.log.listeners.append(listener)


class Metrics:
    """PodMetrics as a test sets them."""

    def __init__(self, store: Store) -> None:
        self._store, self.objects = store, list[Obj]()

    async def records(self, resource: Resource) -> Sequence[Record]:
        return [
            Record(resource.storage_key, Key(one["metadata"]["namespace"], one["metadata"]["name"]),
                   self._store.revision, one)
            for one in self.objects
        ]  # fmt: skip


class _ListenedLog(MemoryLog):
    def __init__(self) -> None:
        super().__init__()
        self.listeners: list[Callable[[Change], None]] = []

    def _commit(self) -> None:
        batch, self._queued = self._queued, []
        for change in batch:
            self._changes.append(change)
            self._on_commit([change])
            for listener in self.listeners:
                listener(change)
