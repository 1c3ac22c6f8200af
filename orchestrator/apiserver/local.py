"""The API client of the reconcilers and the scheduler: the server's own verbs, without a wire between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from orchestrator.apiserver import create, delete, patch, read, subresources, update, watch
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import LOOPBACK, Call, User
from orchestrator.client import ObjectList, PatchType, Propagation, WatchEvent
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj, clone


class LocalClient:
    """Objects it returns are the store's own and must not be changed; objects it is given are copied."""

    def __init__(self, api: Api, user: User = LOOPBACK, field_manager: str = "kube-controller-manager") -> None:
        self._api, self._user, self._manager = api, user, field_manager

    def _call(self, verb: str, resource: Resource, namespace: str = "", name: str = "", subresource: str = "") -> Call:
        resource = self._api.kinds.by_path(resource.group, resource.version, resource.plural) or resource
        resource = self._api.stored_version(resource)
        return Call(verb, resource, namespace, name, subresource, self._user, field_manager=self._manager)

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        return (await read.fetch(self._api, self._call("get", resource, namespace, name))).obj

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        options = read.ListOptions(label_selector, field_selector)
        page = await read.list_(self._api, self._call("list", resource, namespace), options)
        return ObjectList([record.obj for record in page.records], str(page.revision))

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        options = watch.WatchOptions(label_selector, field_selector, resource_version, initial_events=False)
        async for events in await watch.open_watch(self._api, self._call("watch", resource, namespace), options):
            for event in events:
                if event.record is not None:
                    yield WatchEvent(event.type, event.record.obj)

    async def create(self, resource: Resource, obj: Obj, namespace: str = "") -> Obj:
        namespace = namespace or obj["metadata"].get("namespace") or ""
        return (await create.create(self._api, self._call("create", resource, namespace), clone(obj))).obj

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        meta = obj["metadata"]
        call = self._call("update", resource, meta.get("namespace") or "", meta["name"], subresource)
        return (await update.update(self._api, call, clone(obj))).obj

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
        call = self._call("patch", resource, namespace, name, subresource)
        call.field_manager, call.force = field_manager or self._manager, force
        return (await _patch(self._api, call, patch_type, clone(patch))).obj

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
        options = delete.DeleteOptions(grace_period, propagation or "", uid)
        await delete.delete(self._api, self._call("delete", resource, namespace, name), options)

    async def create_subresource(
        self, resource: Resource, name: str, namespace: str, subresource: str, body: Obj
    ) -> Obj:
        call = self._call("create", resource, namespace, name, subresource)
        return await subresources.create_subresource(self._api, call, clone(body))


_patch = patch.patch
