"""The base of every reconciler: handlers put keys into a queue, workers turn one key at a time.

Only this module knows queue, back-off and cancellation. A turn (`reconcile`) reads the caches, lets a pure `plan_` or
`observe_` function decide, writes, and returns; it must be safe to run again, and to be killed anywhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from orchestrator.client import ApiClient
from orchestrator.errors import AlreadyExists, ApiError, Conflict, NotFound
from orchestrator.machinery.api import Api
from orchestrator.machinery.clock import Clock, RealClock
from orchestrator.machinery.events import Recorder
from orchestrator.machinery.informer import Informer, Informers
from orchestrator.machinery.workqueue import WorkQueue
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Key, Obj, controller_of, key_of

log = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_BATCH = 16  # writes tried at once before any has succeeded
CROWD, PACE = 50, 0.0005  # pods a turn looks through at once; seconds each further one delays the turn it causes


class Retry(Exception):
    """The turn could not finish for a reason that passes; come back in `delay` seconds."""

    def __init__(self, delay: float, why: str) -> None:
        super().__init__(why)
        self.delay = delay


@dataclass
class World:
    """What every reconciler shares."""

    client: ApiClient
    clock: Clock = field(default_factory=RealClock)
    settings: Any = None

    def __post_init__(self) -> None:
        self.informers = Informers(self.client, self.clock)
        self.api = Api(self.client, self.informers)
        self.events = Recorder(self.client, self.clock, "controllermanager")


class Reconciler:
    name: ClassVar[str]
    workers: ClassVar[int] = 4

    def __init__(self, world: World) -> None:
        self.world = world
        self.api, self.clock, self.events = world.api, world.clock, world.events
        self.queue: WorkQueue[Key] = WorkQueue(self.clock)
        self.setup()

    def setup(self) -> None:
        """Ask for informers, indexes and handlers."""
        raise NotImplementedError(f"{type(self).__name__} says in setup() what it follows")

    async def reconcile(self, key: Key) -> float | None:
        """One turn; returns after how many seconds another is due without a change, None for never."""
        raise NotImplementedError(f"{type(self).__name__} says in reconcile() what one turn does")

    # following

    def informer(self, resource: Resource) -> Informer:
        return self.world.informers.of(resource)

    def follow(self, resource: Resource, keys: Callable[[Obj], Iterable[Key]] | None = None) -> Informer:
        """Enqueue what `keys` says (by default the object's own key) on every change of the kind."""
        informer = self.informer(resource)
        keys = keys or (lambda obj: (key_of(obj),))

        def changed(old: Obj | None, new: Obj | None) -> None:
            for obj in (old, new):
                if obj is not None:
                    for key in keys(obj):
                        self.queue.add(key)

        informer.add_handler(changed)
        return informer

    def follow_wishes(self, resource: Resource) -> Informer:
        """Enqueue an object's key when anything of it but its status changes."""
        informer = self.informer(resource)

        def changed(old: Obj | None, new: Obj | None) -> None:
            if old is None or new is None or wish_of(old) != wish_of(new):
                self.queue.add(key_of(new or old or {}))

        informer.add_handler(changed)
        return informer

    def follow_owned(self, resource: Resource, owner_kind: str) -> Informer:
        """Enqueue the controlling owner of kind `owner_kind` on every change; index `controller` finds them by it.

        The owner of a crowd is not turned for each of its members apart: see `crowd_delay`.
        """
        informer = self.informer(resource)
        index_by_controller(informer)

        def changed(old: Obj | None, new: Obj | None) -> None:
            for obj in (old, new):
                owner = controller_of(obj) if obj is not None else None
                if obj is not None and owner is not None and owner["kind"] == owner_kind:
                    delay = crowd_delay(informer.count("controller", owner["uid"]))
                    self.queue.add_after(Key(key_of(obj).namespace, owner["name"]), delay)

        informer.add_handler(changed)
        return informer

    # running

    async def run(self) -> None:
        """Turn keys until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self.workers):
                group.create_task(self._work(), name=f"{self.name} {number}")

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self.turn(key)
            finally:
                self.queue.done(key)
            await asyncio.sleep(0)  # a turn may be without a pause, and what it waits for comes by the same loop

    async def turn(self, key: Key) -> None:
        """One turn of `key`, with its failure handled."""
        try:
            delay = await self.reconcile(key)
        except Retry as retry:
            log.debug("%s %s waits: %s", self.name, key, retry)
            self.queue.add_after(key, retry.delay)
        except (Conflict, AlreadyExists, NotFound) as error:
            log.debug("%s %s: the world changed meanwhile: %s", self.name, key, error.message)
            self.queue.retry(key)
        except ApiError as error:
            delay = self.queue.retry(key)
            log.warning("%s %s: %s; trying again in %.3g s", self.name, key, error.message, delay)
        except Exception:
            delay = self.queue.retry(key)
            log.exception("%s %s failed; trying again in %.3g s", self.name, key, delay)
        else:
            self.queue.forget(key)
            if delay is not None:
                self.queue.add_after(key, max(delay, 0.001))


def crowd_delay(members: int) -> float:
    """Seconds to wait for further changes before a turn that looks through so many objects: none for few."""
    return 0.0 if members <= CROWD else members * PACE


def wish_of(obj: Obj) -> tuple[Any, ...]:
    """All that anybody may want of an object, without what is reported of it."""
    meta = obj["metadata"]
    return (
        meta.get("generation"), meta.get("labels"), meta.get("annotations"), meta.get("ownerReferences"),
        meta.get("deletionTimestamp"), meta.get("finalizers"), meta.get("uid"),
    )  # fmt: skip


def index_by_controller(informer: Informer) -> None:
    """Index `controller`: by the uid of the controlling owner; `orphans`: by namespace, those without one."""

    def by_controller(obj: Obj) -> Iterable[str]:
        owner = controller_of(obj)
        return (owner["uid"],) if owner else ()

    def orphans(obj: Obj) -> Iterable[str]:
        return () if controller_of(obj) else (key_of(obj).namespace,)

    informer.add_index("controller", by_controller)
    informer.add_index("orphans", orphans)


def index_by_label(informer: Informer) -> None:
    """Index `label`: by `namespace/key=value`, for selecting without a walk over the namespace."""

    def by_label(obj: Obj) -> Iterable[str]:
        namespace = key_of(obj).namespace
        return [f"{namespace}/{key}={value}" for key, value in (obj["metadata"].get("labels") or {}).items()]

    informer.add_index("label", by_label)


def index_by_namespace(informer: Informer) -> None:
    informer.add_index("namespace", lambda obj: (key_of(obj).namespace,))


async def gather_or_first_error(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results, once every call has ended; then the first failure is raised."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results  # type: ignore[return-value]


async def in_growing_batches(calls: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
    """Run `calls` at once in batches that double while they succeed, so that a hopeless write isn't tried a
    hundredfold. After the first failing batch the rest is left for a later turn and the failure raised.
    """
    done: list[T] = []
    size = FIRST_BATCH
    while calls:
        batch, calls = calls[:size], calls[size:]
        done += await gather_or_first_error([call() for call in batch])
        size *= 2
    return done
