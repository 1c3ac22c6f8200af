"""Kill a reconciler after any single write and let a fresh one finish.

A `Case` is a small world: what is there, what happens step by step, and every write the reconciler then makes. `play`
runs it once, over the real API in this process, with the reconciler writing through a `Mortal` client. When that has
made its share of writes it is dead: its last write is in the store, the answer never comes, and nothing it still had
in mind is written. A fresh reconciler, with nothing but what the store says, then goes on with the same step.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from orchestrator.machinery.clock import FakeClock
from orchestrator.machinery.reconciler import Reconciler
from orchestrator.objects.kinds import EVENTS, Resource
from orchestrator.objects.meta import Obj
from tests.orchestrator.in_process import InProcessApi
from tests.orchestrator.world import Killed, Plane, plane

NEVER = 10**9
Step = Callable[[Plane], Awaitable[Any]]


class Mortal:
    """A client of `api` that notes each write, and dies after `lifetime` of them."""

    def __init__(self, api: InProcessApi, lifetime: int = NEVER) -> None:
        self._api, self.left, self.killed = api, lifetime, False
        self.written: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._api, name)
        if name not in ("create", "update", "patch", "delete", "create_subresource"):
            return method

        async def write(resource: Resource, *args: Any, **options: Any) -> Any:
            if self.killed:
                await asyncio.Event().wait()
            if resource.storage_key == EVENTS.storage_key:
                return await method(resource, *args, **options)
            before = self._api.writes
            result = await method(resource, *args, **options)
            if self._api.writes != before:
                self.written.append(self._describe(name, resource, args, options))
            self.left -= 1
            if self.left <= 0:
                self.killed = True
                await asyncio.Event().wait()
            return result

        return write

    def _describe(self, verb: str, resource: Resource, args: Sequence[Any], options: dict[str, Any]) -> str:
        """Such as `create pods web-*` or `update replicasets/status web`."""
        first = args[0]
        name = first if isinstance(first, str) else first["metadata"].get("name") or first["metadata"]["generateName"]
        part = args[2] if verb == "create_subresource" else options.get("subresource")
        return f"{verb} {resource.plural}{'/' + part if part else ''} {anonymous(name)}"


@dataclass(frozen=True)
class Case:
    """A world for one reconciler.

    `given` exists before it starts. Of `steps` those made by `user` run once; the others (`kubelets`, `later`) are run
    again by whoever was killed in them, so they only bring about what is not so yet. `writes`: what the reconciler
    writes in the uninterrupted run, in order, a repeated one as `3 × create pods web-*`. `others` run beside it, and
    are not killed, unless `all_die` together, as the threads of one process do. `unsaid`: fields that only inform, and
    that go unsaid when the write that was to tell them was the one too many.
    """

    name: str
    reconciler: type[Reconciler]
    given: Sequence[tuple[Resource, Obj]]
    writes: Sequence[str] = ()
    steps: Sequence[Step] = ()
    others: Sequence[type] = ()
    unsaid: Sequence[str] = ()
    all_die: bool = False
    settings: Any = field(default_factory=SimpleNamespace)

    def __str__(self) -> str:
        return f"{self.reconciler.name}: {self.name}"


def user(action: Callable[[InProcessApi], Awaitable[Any]]) -> Step:
    """Somebody writes something, once."""

    return once(lambda world: action(world.api))


def once(step: Step) -> Step:
    """A step that must not be begun again by who is killed in it; it does not wait for anything."""

    async def only(world: Plane) -> None:
        await step(world)

    only.only_once = True  # type: ignore[attr-defined]
    return only


def patched(resource: Resource, name: str, patch: Any, subresource: str = "") -> Step:
    namespace = "default" if resource.namespaced else ""
    return user(lambda api: api.patch(resource, name, namespace, patch=patch, subresource=subresource))


def deleted(resource: Resource, name: str, propagation: Any = None) -> Step:
    namespace = "default" if resource.namespaced else ""
    return user(lambda api: api.delete(resource, name, namespace, propagation=propagation))


def kubelets(world: Plane) -> Awaitable[None]:
    """Every pod runs and is ready; every deleted one ends."""
    return world.run_pods()


def later(seconds: float) -> Step:
    async def wait(world: Plane) -> None:
        await world.advance_to(world.step_began + seconds)

    return wait


@dataclass
class Played:
    """How it ended: the objects without what chance and time decide, and what was written."""

    objects: list[str]
    written: list[str]
    api: InProcessApi
    clock: FakeClock


async def play(case: Case, lifetime: int = NEVER) -> Played:
    """The case from its beginning; the reconciler dies once, after `lifetime` writes."""
    clock = FakeClock()
    api = InProcessApi(clock)
    await api.start()
    for resource, obj in case.given:
        await create_with_status(api, resource, obj)
    hands = Mortal(api, lifetime)
    written = hands.written
    left, began = [_rest, *case.steps, _rest], None
    while left:
        clients = dict.fromkeys((case.reconciler, *(case.others if case.all_die else ())), hands)
        async with plane(
            case.reconciler, *case.others, api=api, clock=clock, clients=clients, settings=case.settings
        ) as world:
            try:
                while left:
                    began = clock.elapsed if began is None else began
                    world.step_began = began
                    step = left[0]
                    await step(world)
                    if getattr(step, "only_once", False):
                        left[0] = _rest
                        continue
                    left.pop(0)
                    began = None
            except Killed:
                hands = Mortal(api)
    return Played(snapshot(api, case.unsaid), written, api, clock)


def _rest(world: Plane) -> Awaitable[None]:
    return world.settle()


async def create_with_status(api: InProcessApi, resource: Resource, obj: Obj) -> None:
    made = await api.create(resource, obj)
    if obj.get("status") and made.get("status") != obj["status"]:
        await api.update(resource, {**made, "status": obj["status"]}, subresource="status")


async def writes_of_a_second_look(case: Case, played: Played) -> list[str]:
    """What a fresh reconciler writes when everything is done already."""
    hands = Mortal(played.api)
    async with plane(
        case.reconciler, api=played.api, clock=played.clock, clients={case.reconciler: hands}, settings=case.settings
    ) as world:
        await world.settle()
    return hands.written


_SUFFIX = r"[bcdfghjklmnpqrstvwxz2456789]"
_HASHES = re.compile(rf"-({_SUFFIX}{{8,10}}-)?{_SUFFIX}{{5}}\b|-{_SUFFIX}{{8,10}}\b")
_CHANCE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|10\.(?:244|96)\.\d+\.\d+|\d{4}-\d\d-\d\dT[0-9:.]+Z"
)
_BOOKKEEPING = ("resourceVersion", "managedFields", "generation", "observedGeneration")


def anonymous(name: str) -> str:
    """A name without what was made up for it."""
    return _HASHES.sub("-*", _CHANCE.sub("*", name + "*" if name.endswith("-") else name))


def snapshot(api: InProcessApi, unsaid: Sequence[str] = ()) -> list[str]:
    """Every object but Events, told apart from chance: no uids, times, addresses or made-up names."""
    told, left_out = [], {*_BOOKKEEPING, *unsaid}
    for resource_key, table in api.store._tables.items():
        if resource_key != EVENTS.storage_key:
            told += [f"{resource_key} {_plain(record.obj, left_out)}" for record in table.records.values()]
    return sorted(told)


def _plain(value: Any, left_out: set[str]) -> str:
    if isinstance(value, dict):
        parts = (f"{anonymous(key)}: {_plain(value[key], left_out)}" for key in sorted(value) if key not in left_out)
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(sorted(_plain(one, left_out) for one in value)) + "]"
    return anonymous(value) if isinstance(value, str) else repr(value)


def in_short(written: Sequence[str]) -> list[str]:
    """Neighbours that are alike as one line with their number."""
    runs: list[tuple[int, str]] = []
    for one in written:
        if runs and runs[-1][1] == one:
            runs[-1] = (runs[-1][0] + 1, one)
        else:
            runs.append((1, one))
    return [f"{count} × {one}" if count > 1 else one for count, one in runs]
