"""The objects every cluster has from its first start."""

from __future__ import annotations

from orchestrator.apiserver import create
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.objects import kinds
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Key, Obj

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


async def ensure_objects(api: Api) -> None:
    for name in NAMESPACES:
        await _ensure(api, kinds.NAMESPACES, {"metadata": {"name": name}})


async def _ensure(api: Api, resource: Resource, obj: Obj) -> None:
    meta = obj["metadata"]
    key = Key(meta.get("namespace", ""), meta["name"])
    if api.store.latest(resource.storage_key, key) is None:
        await create.create(api, Call("create", resource, key.namespace, key.name), obj)
