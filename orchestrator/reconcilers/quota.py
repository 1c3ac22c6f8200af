"""ResourceQuota statuses: what a namespace uses of what it may. Refusing what is too much is the API server's part,
by the same `objects.quotas.usage_of`.

Source: kubernetes pkg/controller/resourcequota and pkg/quota/v1/evaluator/core.
"""

from __future__ import annotations

from orchestrator.machinery.informer import metadata_only
from orchestrator.machinery.reconciler import Reconciler, index_by_namespace
from orchestrator.objects.kinds import (
    BUILT_IN,
    CONFIGMAPS,
    CRONJOBS,
    DAEMONSETS,
    DEPLOYMENTS,
    JOBS,
    PERSISTENTVOLUMECLAIMS,
    PODS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    RESOURCEQUOTAS,
    SECRETS,
    SERVICES,
    STATEFULSETS,
    Resource,
)
from orchestrator.objects.meta import Key, Obj, is_deleting, key_of
from orchestrator.objects.quotas import used_of

COUNTED = (
    PODS, SERVICES, CONFIGMAPS, SECRETS, PERSISTENTVOLUMECLAIMS, REPLICATIONCONTROLLERS, RESOURCEQUOTAS, DEPLOYMENTS,
    REPLICASETS, STATEFULSETS, DAEMONSETS, JOBS, CRONJOBS,
)  # fmt: skip
"""Kinds whose usage is kept current."""
_COUNTED_ONLY = (CONFIGMAPS, SECRETS)
"""Those of which nothing but the number counts."""


class QuotaReconciler(Reconciler):
    name = "quota"
    workers = 1
    delay = 0.2  # seconds; a burst of objects is counted once

    def setup(self) -> None:
        self.quotas = self.follow(RESOURCEQUOTAS)
        index_by_namespace(self.quotas)
        self.counted = {
            resource: self.world.informers.of(resource, transform=metadata_only if resource in _COUNTED_ONLY else None)
            for resource in COUNTED
        }
        for informer in self.counted.values():
            index_by_namespace(informer)
            informer.add_handler(self._changed)

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        one = new or old
        if one is None or not len(self.quotas):
            return
        for quota in self.quotas.indexed("namespace", key_of(one).namespace):
            self.queue.add_after(key_of(quota), self.delay)

    async def reconcile(self, key: Key) -> None:
        quota = self.quotas.get(key)
        if quota is None or is_deleting(quota):
            return
        objects = [
            (resource, obj)
            for resource, informer in self.counted.items()
            for obj in informer.indexed("namespace", key.namespace)
        ]
        objects += await self._others(quota, key.namespace)
        status = {"hard": dict(quota["spec"].get("hard") or {}), "used": used_of(quota, objects)}
        await self.api.update_status(RESOURCEQUOTAS, quota, status)

    async def _others(self, quota: Obj, namespace: str) -> list[tuple[Resource, Obj]]:
        """Objects of kinds nobody follows, counted because this quota names them."""
        found: list[tuple[Resource, Obj]] = []
        names = {name.removeprefix("count/") for name in quota["spec"].get("hard") or {} if name.startswith("count/")}
        for resource in BUILT_IN:
            if resource.group_resource in names and resource not in self.counted and resource.namespaced:
                found += [(resource, obj) for obj in (await self.api.client.list(resource, namespace)).items]
                names.discard(resource.group_resource)
        return found
