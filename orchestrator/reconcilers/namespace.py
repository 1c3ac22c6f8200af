"""Namespaces that are being deleted: everything in them goes, then they do.

Source: kubernetes pkg/controller/namespace/deletion.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orchestrator.errors import Conflict, MethodNotAllowed, NotFound
from orchestrator.machinery.clock import rfc3339
from orchestrator.machinery.pods import set_condition
from orchestrator.machinery.reconciler import Reconciler, gather_or_first_error
from orchestrator.objects.kinds import CRDS, NAMESPACES, PODS, Resource
from orchestrator.objects.meta import Key, Obj, is_deleting, key_of, uid_of
from orchestrator.reconcilers.custom_kinds import deletable_kinds, served_custom_kinds

FINALIZER = "kubernetes"
AT_ONCE = 50  # deletes in flight
LOOK_AGAIN = 1.0  # seconds between looks at what is still terminating, growing to LOOK_AGAIN_MOST
LOOK_AGAIN_MOST = 10.0


def observe_namespace(namespace: Obj, remaining: dict[str, int], finalizers: dict[str, int], now: str) -> Obj:
    """The status that says what still keeps the namespace."""
    conditions: list[dict[str, Any]] = (namespace.get("status") or {}).get("conditions") or []
    for kind, reason, counts, words in (
        ("NamespaceContentRemaining", "SomeResourcesRemain", remaining, "has {n} resource instances"),
        ("NamespaceFinalizersRemaining", "SomeFinalizersRemain", finalizers, "in {n} resource instances"),
    ):
        start = (
            "Some resources are remaining: " if kind == "NamespaceContentRemaining"
            else "Some content in the namespace has finalizers remaining: "
        )  # fmt: skip
        listed = ", ".join(f"{name} {words.format(n=count)}" for name, count in sorted(counts.items()))
        done = (
            "All content successfully removed" if kind == "NamespaceContentRemaining"
            else "All content-preserving finalizers finished"
        )  # fmt: skip
        done_reason = "ContentRemoved" if kind == "NamespaceContentRemaining" else "ContentHasNoFinalizers"
        wanted = {
            "type": kind,
            "status": "True" if counts else "False",
            "reason": reason if counts else done_reason,
            "message": start + listed if counts else done,
        }
        conditions = set_condition(conditions, wanted, now)
    return {"phase": "Terminating", "conditions": conditions}


class NamespaceReconciler(Reconciler):
    name = "namespace"
    workers = 4

    def setup(self) -> None:
        self.namespaces = self.follow(NAMESPACES, lambda obj: (key_of(obj),) if is_deleting(obj) else ())
        self.definitions = self.informer(CRDS)
        self._looks: dict[str, int] = {}

    async def reconcile(self, key: Key) -> float | None:
        namespace = self.namespaces.get(key)
        if namespace is None or not is_deleting(namespace):
            self._looks.pop(key.name, None)
            return None
        finalizers = namespace.get("spec", {}).get("finalizers") or []
        if FINALIZER not in finalizers:
            return None
        remaining, held = await self._empty(key.name)
        if not remaining:
            await self._finalize(namespace, [one for one in finalizers if one != FINALIZER])
            return None
        status = observe_namespace(namespace, remaining, held, rfc3339(self.clock.now()))
        await self.api.update_status(NAMESPACES, namespace, status)
        looks = self._looks[key.name] = self._looks.get(key.name, 0) + 1
        return min(LOOK_AGAIN * looks / 4, LOOK_AGAIN_MOST)

    async def _empty(self, namespace: str) -> tuple[dict[str, int], dict[str, int]]:
        """Delete everything; what is left afterwards, and which finalizers hold how much of it."""
        remaining: dict[str, int] = {}
        held: dict[str, int] = {}
        for resource in self._kinds():
            left = await self._delete_all(resource, namespace)
            if left:
                remaining[resource.group_resource] = len(left)
            for obj in left:
                for finalizer in obj["metadata"].get("finalizers") or ():
                    held[finalizer] = held.get(finalizer, 0) + 1
        return remaining, held

    def _kinds(self) -> Iterable[Resource]:
        """Pods last among equals: their owners go first, so that none is made anew."""
        kinds = [one for one in deletable_kinds(served_custom_kinds(self.definitions)) if one.namespaced]
        return sorted(kinds, key=lambda resource: resource is PODS)

    async def _delete_all(self, resource: Resource, namespace: str) -> list[Obj]:
        try:
            found = (await self.api.client.list(resource, namespace)).items
        except (NotFound, MethodNotAllowed):  # the kind is no longer served
            return []
        live = [obj for obj in found if not is_deleting(obj)]
        for start in range(0, len(live), AT_ONCE):
            await gather_or_first_error(self._delete(resource, obj) for obj in live[start : start + AT_ONCE])
        return (await self.api.client.list(resource, namespace)).items if live else found

    async def _delete(self, resource: Resource, obj: Obj) -> None:
        key = key_of(obj)
        try:
            await self.api.client.delete(resource, key.name, key.namespace, uid=uid_of(obj), propagation="Background")
        except (NotFound, Conflict):
            return

    async def _finalize(self, namespace: Obj, finalizers: list[str]) -> None:
        spec = {**namespace.get("spec", {}), "finalizers": finalizers}
        try:
            await self.api.client.update(NAMESPACES, {**namespace, "spec": spec}, subresource="finalize")
        except NotFound:
            return
        self._looks.pop(key_of(namespace).name, None)
