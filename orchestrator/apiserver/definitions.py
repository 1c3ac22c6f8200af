"""CustomResourceDefinitions at work: names accepted, kinds served, instances removed before their definition goes."""

from __future__ import annotations

import asyncio
import logging

from orchestrator.apiserver import delete, update
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.read import ListOptions
from orchestrator.errors import ApiError
from orchestrator.objects import kinds
from orchestrator.objects.crds import accept_names, custom_resources, stored_version
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj, clone, is_deleting
from orchestrator.store.record import Compacted, Record, StoreError, WatchDropped

log = logging.getLogger(__name__)

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_STORAGE = kinds.CRDS.storage_key
_RETRY = 1.0  # seconds between looks at instances that are still being removed


class Definitions:
    """Keeps `api.kinds` in step with the definitions in the store."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._served: dict[str, list[Resource]] = {}

    def load(self) -> None:
        """Serve what was established when the server stopped."""
        for record in self.api.store.list(_STORAGE):
            try:
                self._serve(record.obj)
            except Exception:
                log.exception("definition %s can't be served", record.key.name)

    async def run(self) -> None:
        """Follow every change, until cancelled."""
        store = self.api.store
        while True:
            watcher = await store.watch(_STORAGE, store.revision)
            try:
                for record in store.list(_STORAGE):
                    await self._settle(record)
                while True:
                    waiting = any(is_deleting(record.obj) for record in store.list(_STORAGE))
                    changed = {c.record.key for c in await watcher.next(_RETRY if waiting else None)}
                    for name in [name for name in self._served if not self._stored(name)]:
                        self._stop_serving(name)
                    for record in store.list(_STORAGE):
                        if record.key in changed or is_deleting(record.obj):
                            await self._settle(record)
            except (WatchDropped, Compacted):
                if store.closed:
                    return
            finally:
                watcher.close()

    def _stored(self, name: str) -> bool:
        return any(record.key.name == name for record in self.api.store.list(_STORAGE))

    async def _settle(self, record: Record) -> None:
        try:
            if is_deleting(record.obj):
                await self._remove_instances(record)
            else:
                await self._accept(record)
                latest = self.api.store.latest(_STORAGE, record.key)
                if latest is not None:  # else deleted meanwhile, and its own event follows
                    self._serve(latest.obj)
        except (ApiError, StoreError) as exc:
            log.warning("definition %s: %s; it is looked at again on its next change", record.key.name, exc)
        except Exception:  # one strange definition must not keep the others from being served
            log.exception("definition %s can't be served", record.key.name)

    async def _accept(self, record: Record) -> None:
        """Write the status that says whether the names are free, and the finalizer that guards the instances."""
        obj = record.obj
        others = [other.obj for other in self.api.store.list(_STORAGE)]
        status = accept_names(obj, others, self.api.timestamp())
        if CLEANUP not in (obj["metadata"].get("finalizers") or ()):
            new = clone(obj)
            new["metadata"].setdefault("finalizers", []).append(CLEANUP)
            await self._write(record, new, "")
            record = self.api.store.latest(_STORAGE, record.key) or record
        if (record.obj.get("status") or {}) != status:
            await self._write(record, {**clone(record.obj), "status": status}, "status")

    async def _write(self, record: Record, new: Obj, subresource: str) -> None:
        call = Call(
            "update", kinds.CRDS, "", record.key.name, subresource, field_manager="kube-apiserver", internal=True
        )
        await update.write(self.api, call, record, new)

    def _serve(self, definition: Obj) -> None:
        name = definition["metadata"]["name"]
        conditions = (definition.get("status") or {}).get("conditions") or ()
        if not any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions):
            return
        served = custom_resources(definition)
        self._stop_serving(name, keep=served)
        for resource in served:
            self.api.kinds.register(resource)
            if resource.version == stored_version(definition):
                self.api.stored_versions[resource.storage_key] = resource
        self._served[name] = served

    def _stop_serving(self, name: str, keep: list[Resource] | None = None) -> None:
        for resource in self._served.pop(name, ()):
            if resource not in (keep or ()):
                self.api.kinds.unregister(resource)

    async def _remove_instances(self, record: Record) -> None:
        """Delete every instance; when none is left, let the definition go."""
        served = self._served.get(record.key.name) or custom_resources(record.obj)
        for resource in served[:1]:
            if self.api.store.list(resource.storage_key):
                call = Call("deletecollection", resource, field_manager="kube-apiserver", internal=True)
                await delete.delete_collection(self.api, call, ListOptions(), delete.DeleteOptions())
            if self.api.store.list(resource.storage_key):
                return
        if CLEANUP in (record.obj["metadata"].get("finalizers") or ()):
            new = clone(record.obj)
            new["metadata"]["finalizers"] = [f for f in new["metadata"]["finalizers"] if f != CLEANUP]
            await self._write(record, new, "")
            await asyncio.sleep(0)
