"""The API as reconcilers write to it: each answer goes straight into the caches, so that they see their own writes."""

from __future__ import annotations

from typing import Any

from orchestrator.client import ApiClient, PatchType, Propagation
from orchestrator.errors import NotFound
from orchestrator.machinery.informer import Informers
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Key, Obj, is_deleting, key_of, uid_of

SETTLE = 5.0  # seconds for a watch to tell of our own delete before we go on without it


class Api:
    def __init__(self, client: ApiClient, informers: Informers) -> None:
        self.client, self.informers = client, informers

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        return await self.client.get(resource, name, namespace)

    async def create(self, resource: Resource, obj: Obj, namespace: str = "") -> Obj:
        return self._seen(resource, await self.client.create(resource, obj, namespace))

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        return self._seen(resource, await self.client.update(resource, obj, subresource=subresource))

    async def update_status(self, resource: Resource, obj: Obj, status: dict[str, Any]) -> Obj:
        """Write `status`, or nothing when the object has it already."""
        if obj.get("status") == status:
            return obj
        return await self.update(resource, {**obj, "status": status}, subresource="status")

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        patch: Any,
        patch_type: PatchType = "merge",
        subresource: str = "",
    ) -> Obj:
        answer = await self.client.patch(
            resource, name, namespace, patch=patch, patch_type=patch_type, subresource=subresource
        )
        return self._seen(resource, answer)

    async def delete(
        self,
        resource: Resource,
        obj: Obj,
        *,
        grace_period: int | None = None,
        propagation: Propagation | None = "Background",
    ) -> bool:
        """Delete this very object (by uid) and wait until the cache knows; False when it was gone already."""
        key, uid = key_of(obj), uid_of(obj)
        gone = False
        try:
            await self.client.delete(
                resource, key.name, key.namespace, uid=uid, grace_period=grace_period, propagation=propagation
            )
        except NotFound:
            gone = True
        if (informer := self.informers.known(resource)) is not None:
            await informer.until(key, lambda now: now is None or uid_of(now) != uid or is_deleting(now), SETTLE)
        return not gone

    async def create_subresource(self, resource: Resource, key: Key, subresource: str, body: Obj) -> Obj:
        return await self.client.create_subresource(resource, key.name, key.namespace, subresource, body)

    def _seen(self, resource: Resource, obj: Obj) -> Obj:
        self.informers.observe(resource, obj)
        return obj
