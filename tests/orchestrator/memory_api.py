"""An `ApiClient` over dictionaries, to try what runs against the API at full speed and under a fake clock.

It keeps what reconcilers rely on (revisions, uids, conflicts, generations, finalizers, graceful deletion of pods,
bindings, watches in order), and leaves out what they don't: no schema, no defaults, no durability, no users.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import random
import uuid
from collections.abc import AsyncIterator
from typing import Any

from orchestrator.client import ObjectList, PatchType, Propagation, WatchEvent
from orchestrator.errors import AlreadyExists, BadRequest, Conflict, NotFound
from orchestrator.machinery.clock import Clock, RealClock, rfc3339
from orchestrator.objects.kinds import NAMESPACES, PODS, Resource
from orchestrator.objects.meta import Key, Obj, is_deleting, key_of, labels_of, uid_of
from orchestrator.objects.selectors import parse_field_selector, parse_label_selector

GRACE = 30  # seconds a pod gets unless it says otherwise
_NAMES = "bcdfghjklmnpqrstvwxz2456789"


class MemoryApi:
    def __init__(self, clock: Clock | None = None, seed: int = 1) -> None:
        self.clock: Clock = clock or RealClock()
        self.writes = 0
        self._random = random.Random(seed)
        self._revision = itertools.count(1)
        self._last = 0
        self._tables: dict[str, dict[Key, Obj]] = {}
        self._watchers: dict[str, list[asyncio.Queue[WatchEvent]]] = {}

    # reads

    def peek(self, resource: Resource, namespace: str = "") -> list[Obj]:
        """What is stored now, without a turn of the loop: for assertions and simulated kubelets."""
        table = self._tables.get(resource.storage_key, {})
        return [obj for key, obj in table.items() if not namespace or key.namespace == namespace]

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        return self._found(resource, Key(namespace, name))

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        labels, fields = parse_label_selector(label_selector), parse_field_selector(resource, field_selector)
        items = [
            obj for obj in self.peek(resource, namespace) if labels.matches(labels_of(obj)) and fields.matches(obj)
        ]
        return ObjectList(items, str(self._last))

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        if int(resource_version) < self._last and any(
            int(obj["metadata"]["resourceVersion"]) > int(resource_version) for obj in self.peek(resource)
        ):
            missed = [
                obj for obj in self.peek(resource) if int(obj["metadata"]["resourceVersion"]) > int(resource_version)
            ]
        else:
            missed = []
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._watchers.setdefault(resource.storage_key, []).append(queue)
        labels = parse_label_selector(label_selector)
        try:
            for obj in sorted(missed, key=lambda obj: int(obj["metadata"]["resourceVersion"])):
                yield WatchEvent("MODIFIED", obj)
            while True:
                event = await queue.get()
                if (not namespace or key_of(event.object).namespace == namespace) and labels.matches(
                    labels_of(event.object)
                ):
                    yield event
        finally:
            self._watchers[resource.storage_key].remove(queue)

    # writes

    async def create(self, resource: Resource, obj: Obj, namespace: str = "") -> Obj:
        await asyncio.sleep(0)
        obj = copy.deepcopy(obj)
        meta = obj["metadata"]
        if resource.namespaced:
            meta["namespace"] = meta.get("namespace") or namespace or "default"
        if not meta.get("name"):
            suffix = "".join(self._random.choices(_NAMES, k=5))
            meta["name"] = meta.get("generateName", "") + suffix
        key = key_of(obj)
        if key in self._table(resource):
            raise AlreadyExists(f'{resource.group_resource} "{key.name}" already exists', name=key.name)
        obj.setdefault("apiVersion", resource.api_version)
        obj.setdefault("kind", resource.kind)
        meta.update(uid=str(uuid.UUID(int=self._random.getrandbits(128))), generation=1)
        meta["creationTimestamp"] = rfc3339(self.clock.now())
        if resource is NAMESPACES:
            obj.setdefault("spec", {})["finalizers"] = ["kubernetes"]
            obj["status"] = {"phase": "Active"}
        if resource is PODS:
            obj.setdefault("status", {}).setdefault("phase", "Pending")
        return self._commit(resource, "ADDED", obj)

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        await asyncio.sleep(0)
        old = self._found(resource, key_of(obj))
        version = obj["metadata"].get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            raise Conflict(f'{resource.group_resource} "{key_of(obj).name}" was modified; read it again')
        return self._replace(resource, old, copy.deepcopy(obj), subresource)

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        patch: Any,
        patch_type: PatchType = "merge",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> Obj:
        await asyncio.sleep(0)
        if patch_type != "merge":
            raise BadRequest(f"this API takes merge patches only, not {patch_type}")
        old = self._found(resource, Key(namespace, name))
        wanted = patch.get("metadata") or {}
        for precondition in ("resourceVersion", "uid"):
            if wanted.get(precondition) and wanted[precondition] != old["metadata"][precondition]:
                raise Conflict(f'{resource.group_resource} "{name}": {precondition} differs')
        return self._replace(resource, old, merged(old, patch), subresource)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        grace_period: int | None = None,
        propagation: Propagation | None = None,
    ) -> None:
        await asyncio.sleep(0)
        old = self._found(resource, Key(namespace, name))
        if uid and uid != uid_of(old):
            raise Conflict(f'{resource.group_resource} "{name}" has another uid')
        new = copy.deepcopy(old)
        meta = new["metadata"]
        finalizers = meta.setdefault("finalizers", [])
        finalizer = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(propagation or "")
        if finalizer and finalizer not in finalizers:
            finalizers.append(finalizer)
        grace = 0
        if resource is PODS and (old.get("spec") or {}).get("nodeName"):
            asked = old["spec"].get("terminationGracePeriodSeconds", GRACE)
            grace = asked if grace_period is None else grace_period
            if old.get("status", {}).get("phase") in ("Succeeded", "Failed"):
                grace = 0
        if not grace and not finalizers and resource is not NAMESPACES:
            self._remove(resource, new)
            return
        if is_deleting(old) and not (grace_period == 0 and not finalizers):
            return
        meta["deletionTimestamp"] = rfc3339(self.clock.now())
        meta["deletionGracePeriodSeconds"] = grace
        if resource is NAMESPACES:
            new["status"] = {**new.get("status", {}), "phase": "Terminating"}
        self._commit(resource, "MODIFIED", new)

    async def create_subresource(
        self, resource: Resource, name: str, namespace: str, subresource: str, body: Obj
    ) -> Obj:
        await asyncio.sleep(0)
        old = self._found(resource, Key(namespace, name))
        if subresource == "eviction":
            await self.delete(resource, name, namespace)
            return body
        if subresource != "binding":
            raise NotFound(f"{resource.plural}/{subresource} is not served here")
        if (old.get("spec") or {}).get("nodeName"):
            raise Conflict(f'pod "{name}" is already assigned to a node')
        new = copy.deepcopy(old)
        new["spec"]["nodeName"] = body["target"]["name"]
        status = new.setdefault("status", {})
        others = [one for one in status.get("conditions", ()) if one["type"] != "PodScheduled"]
        status["conditions"] = [*others, {"type": "PodScheduled", "status": "True"}]
        self._commit(resource, "MODIFIED", new)
        return body

    # inside

    def _table(self, resource: Resource) -> dict[Key, Obj]:
        return self._tables.setdefault(resource.storage_key, {})

    def _found(self, resource: Resource, key: Key) -> Obj:
        try:
            return self._table(resource)[key]
        except KeyError:
            raise NotFound(f'{resource.group_resource} "{key.name}" not found', name=key.name) from None

    def _replace(self, resource: Resource, old: Obj, new: Obj, subresource: str) -> Obj:
        if subresource == "status":
            new = {**copy.deepcopy(old), "status": new.get("status", {})}
        elif "status" in resource.subresources and resource is not NAMESPACES:
            new["status"] = old.get("status", {})
        meta = new["metadata"] = {**new["metadata"]}
        for kept in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"):
            if kept in old["metadata"]:
                meta[kept] = old["metadata"][kept]
        meta["generation"] = old["metadata"].get("generation", 1) + (new.get("spec") != old.get("spec"))
        stripped = {**meta, "resourceVersion": old["metadata"]["resourceVersion"]}
        if {**new, "metadata": stripped} == {**old, "metadata": {**old["metadata"]}}:
            return old
        held = bool(meta.get("finalizers")) or (resource is PODS and bool(meta.get("deletionGracePeriodSeconds")))
        if resource is NAMESPACES:
            held = held or bool(new.get("spec", {}).get("finalizers"))
        if is_deleting(old) and not held:
            self._remove(resource, new)
            return new
        return self._commit(resource, "MODIFIED", new)

    def _stamp(self, obj: Obj) -> None:
        self.writes += 1
        self._last = next(self._revision)
        obj["metadata"]["resourceVersion"] = str(self._last)

    def _commit(self, resource: Resource, kind: str, obj: Obj) -> Obj:
        self._stamp(obj)
        self._table(resource)[key_of(obj)] = obj
        self._tell(resource, WatchEvent(kind, obj))
        return obj

    def _remove(self, resource: Resource, obj: Obj) -> None:
        self._stamp(obj)
        del self._table(resource)[key_of(obj)]
        self._tell(resource, WatchEvent("DELETED", obj))

    def _tell(self, resource: Resource, event: WatchEvent) -> None:
        for queue in self._watchers.get(resource.storage_key, ()):
            queue.put_nowait(event)


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386; neither argument is changed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
