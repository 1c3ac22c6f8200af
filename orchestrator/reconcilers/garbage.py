"""Garbage collection: objects go when all their owners have gone.

A graph of who owns whom is kept from the watches of every kind. Background deletion: an owner is gone, its dependents
follow. Foreground: the owner waits, held by a finalizer, until its blocking dependents are gone. Orphan: the owner
waits until no dependent names it any more. Source: kubernetes pkg/controller/garbagecollector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchestrator.client import Propagation
from orchestrator.errors import Conflict, Invalid, NotFound
from orchestrator.machinery.informer import Informer, metadata_only
from orchestrator.machinery.reconciler import Reconciler, World, gather_or_first_error
from orchestrator.objects.kinds import CRDS, EVENTS, Resource
from orchestrator.objects.meta import Key, Obj, is_deleting, key_of, revision_of, uid_of
from orchestrator.reconcilers.custom_kinds import custom_kind, deletable_kinds

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
CHANGED_MEANWHILE = 0.05  # seconds for the watch to tell of a change that came before ours
NEVER_OWNED = {EVENTS.storage_key}  # many, short-lived, and never owned in practice


class Identity(NamedTuple):
    api_version: str
    kind: str
    namespace: str
    name: str


@dataclass(slots=True)
class Node:
    """What the graph keeps of an object."""

    uid: str
    resource: Resource
    obj: Obj

    @property
    def references(self) -> list[dict[str, Any]]:
        return self.obj["metadata"].get("ownerReferences") or []

    @property
    def blocked_owners(self) -> set[str]:
        """Uids of those that can't go before this one."""
        return {reference["uid"] for reference in self.references if reference.get("blockOwnerDeletion")}

    @property
    def finalizers(self) -> list[str]:
        return self.obj["metadata"].get("finalizers") or []


@dataclass
class Verdict:
    """What to do with a dependent: nothing, drop references that lead nowhere, or delete it."""

    delete: Propagation | None = None
    drop: frozenset[str] = frozenset()


def plan_dependent(node: Node, absent: set[str], waiting: set[str], has_dependents: bool) -> Verdict:
    """`absent`: uids of owners that don't exist; `waiting`: of owners that wait for this one to go."""
    uids = {reference["uid"] for reference in node.references}
    if not uids:
        return Verdict()
    solid = uids - absent - waiting
    if solid:
        return Verdict(drop=frozenset(uids - solid))
    if waiting and has_dependents:
        return Verdict(delete="Foreground")
    if ORPHAN in node.finalizers:
        return Verdict(delete="Orphan")
    if FOREGROUND in node.finalizers:
        return Verdict(delete="Foreground")
    return Verdict(delete="Background")


class GarbageCollector(Reconciler):
    """Its keys are uids, in `Key.name`."""

    name = "garbage"
    workers = 8

    def __init__(self, world: World) -> None:
        self._nodes: dict[str, Node] = {}
        self._dependents: dict[str, dict[str, None]] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self._handlers: dict[str, Any] = {}
        super().__init__(world)

    def setup(self) -> None:
        for resource in deletable_kinds():
            if resource.storage_key not in NEVER_OWNED:
                self._track(resource)
        self.informer(CRDS).add_handler(self._definition_changed)

    # the graph

    def _track(self, resource: Resource) -> None:
        if resource.storage_key in self._handlers:
            return
        self._by_kind[resource.group, resource.kind] = resource
        informer = self.world.informers.of(resource, transform=metadata_only)

        def changed(old: Obj | None, new: Obj | None) -> None:
            if new is not None:
                self._upsert(resource, new)
            elif old is not None:
                self._gone(uid_of(old))

        self._handlers[resource.storage_key] = changed
        informer.add_handler(changed)

    def _definition_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is not None and (kind := custom_kind(new)) is not None:
            self._track(kind)
        elif old is not None and (kind := custom_kind(old)) is not None and new is None:
            informer = self.world.informers.known(kind)
            for obj in informer or ():
                self._gone(uid_of(obj))
            self.world.informers.drop(kind)
            self._handlers.pop(kind.storage_key, None)

    def _upsert(self, resource: Resource, obj: Obj) -> None:
        uid = uid_of(obj)
        old = self._nodes.get(uid)
        before = {reference["uid"] for reference in old.references} if old else set()
        after = {reference["uid"] for reference in obj["metadata"].get("ownerReferences") or ()}
        if not after and not before and not is_deleting(obj) and uid in self._nodes:
            self._nodes[uid].obj = obj
            return
        node = self._nodes[uid] = Node(uid, resource, obj)
        for owner in before - after:
            self._unlink(owner, uid)
        if old is not None and (released := old.blocked_owners - node.blocked_owners):
            self._enqueue_all(released)
        for owner in after - before:
            self._dependents.setdefault(owner, {})[uid] = None
        if before - after:
            self._enqueue_all(before - after)
        if after and any(self._is_doubtful(owner) for owner in after):
            self._enqueue(uid)
        if is_deleting(obj) and {FOREGROUND, ORPHAN} & set(obj["metadata"].get("finalizers") or ()):
            self._enqueue(uid)

    def _is_doubtful(self, owner: str) -> bool:
        """Whether the owner is unknown to the graph, or on its way out."""
        node = self._nodes.get(owner)
        return node is None or is_deleting(node.obj)

    def _gone(self, uid: str) -> None:
        node = self._nodes.pop(uid, None)
        for dependent in self._dependents.get(uid, ()):
            self._enqueue(dependent)
        if node is not None:
            for reference in node.references:
                self._unlink(reference["uid"], uid)
                self._enqueue(reference["uid"])

    def _unlink(self, owner: str, uid: str) -> None:
        dependents = self._dependents.get(owner)
        if dependents is not None:
            dependents.pop(uid, None)
            if not dependents:
                del self._dependents[owner]

    def _enqueue(self, uid: str) -> None:
        self.queue.add(Key("", uid))

    def _enqueue_all(self, uids: set[str]) -> None:
        for uid in uids:
            self._enqueue(uid)

    # one turn

    async def reconcile(self, key: Key) -> float | None:
        node = self._nodes.get(key.name)
        if node is None:
            return None
        if not self._is_current(node):
            return 0.02
        if is_deleting(node.obj):
            if ORPHAN in node.finalizers:
                await self._orphan_dependents(node)
            elif FOREGROUND in node.finalizers:
                await self._await_dependents(node)
            return None
        if not node.references:
            return None
        absent, waiting = await self._owners(node)
        dependents = [self._nodes[uid] for uid in self._dependents.get(node.uid, ()) if uid in self._nodes]
        verdict = plan_dependent(node, absent, waiting, bool(dependents))
        if waiting and any(_waits(one) for one in dependents) and node.blocked_owners:
            await self._write_meta(node, {"ownerReferences": [*map(_not_blocking, node.references)]})
        elif verdict.delete:
            await self._delete(node, verdict.delete)
        elif verdict.drop:
            await self._drop_references(node, verdict.drop)
        return None

    def _is_current(self, node: Node) -> bool:
        """Whether the cache still has this object (a kind no longer served has none)."""
        informer = self.world.informers.known(node.resource)
        return informer is not None and informer.synced.is_set()

    async def _owners(self, node: Node) -> tuple[set[str], set[str]]:
        absent: set[str] = set()
        waiting: set[str] = set()
        for reference in node.references:
            owner = self._nodes.get(reference["uid"])
            if owner is None:
                if await self._is_absent(node, reference):
                    absent.add(reference["uid"])
            elif _waits(owner):
                waiting.add(reference["uid"])
        return absent, waiting

    async def _is_absent(self, node: Node, reference: Mapping[str, Any]) -> bool:
        """Asked of the API itself: the graph may not have heard of the owner yet."""
        group = reference["apiVersion"].rpartition("/")[0]
        resource = self._by_kind.get((group, reference["kind"]))
        if resource is None:  # of a kind we don't know: leave the dependent alone
            return False
        namespace = key_of(node.obj).namespace if resource.namespaced else ""
        if resource.namespaced and not namespace:
            return False
        try:
            found = await self.api.get(resource, reference["name"], namespace)
        except NotFound:
            return True
        return uid_of(found) != str(reference["uid"])

    async def _delete(self, node: Node, propagation: Propagation) -> None:
        informer: Informer | None = self.world.informers.known(node.resource)
        present = informer.get(key_of(node.obj)) if informer else None
        if present is not None and uid_of(present) == node.uid and revision_of(present) >= revision_of(node.obj):
            await self.api.delete(node.resource, node.obj, propagation=propagation)

    async def _drop_references(self, node: Node, uids: frozenset[str]) -> bool:
        rest = [reference for reference in node.references if reference["uid"] not in uids]
        return await self._write_meta(node, {"ownerReferences": rest or None})

    async def _orphan_dependents(self, node: Node) -> None:
        dependents = [self._nodes[uid] for uid in self._dependents.get(node.uid, ()) if uid in self._nodes]
        done = await gather_or_first_error(self._drop_references(one, frozenset([node.uid])) for one in dependents)
        if all(done):
            await self._remove_finalizer(node, ORPHAN)
        else:  # one that still names its owner would go with it
            self.queue.add_after(Key("", node.uid), CHANGED_MEANWHILE)

    async def _await_dependents(self, node: Node) -> None:
        dependents = [self._nodes[uid] for uid in self._dependents.get(node.uid, ()) if uid in self._nodes]
        blocking = [one for one in dependents if node.uid in one.blocked_owners]
        if not blocking:
            await self._remove_finalizer(node, FOREGROUND)
            return
        for one in dependents:
            if not is_deleting(one.obj):
                self._enqueue(one.uid)

    async def _remove_finalizer(self, node: Node, finalizer: str) -> None:
        rest = [one for one in node.finalizers if one != finalizer]
        await self._write_meta(node, {"finalizers": rest or None})

    async def _write_meta(self, node: Node, meta: dict[str, Any]) -> bool:
        """Whether it is done; otherwise somebody changed the object, and its turn comes again."""
        key = key_of(node.obj)
        lock = {"uid": node.uid, "resourceVersion": node.obj["metadata"]["resourceVersion"]}
        try:
            await self.api.patch(node.resource, key.name, key.namespace, patch={"metadata": {**meta, **lock}})
        except NotFound:
            pass
        except (Conflict, Invalid):
            self.queue.add_after(Key("", node.uid), CHANGED_MEANWHILE)
            return False
        return True


def _waits(node: Node) -> bool:
    """Whether it is being deleted and waits for its own dependents."""
    return is_deleting(node.obj) and FOREGROUND in node.finalizers


def _not_blocking(reference: Mapping[str, Any]) -> dict[str, Any]:
    """A circle of owners that wait for each other is broken where it closes."""
    return {**reference, "blockOwnerDeletion": False}
