"""A claim that names no storage class gets the default one."""

from __future__ import annotations

from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.objects import kinds
from orchestrator.objects.meta import Obj, annotations_of

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def set_storage_class(api: Api, call: Call, obj: Obj, old: Obj | None) -> None:
    spec = obj.get("spec") or {}
    if spec.get("storageClassName") is not None or spec.get("volumeName"):
        return
    defaults = [
        record.obj
        for record in api.store.list(kinds.STORAGECLASSES.storage_key)
        if annotations_of(record.obj).get(_DEFAULT_CLASS) == "true"
    ]
    if defaults:
        newest = max(defaults, key=lambda c: (c["metadata"]["creationTimestamp"], c["metadata"]["name"]))
        spec["storageClassName"] = newest["metadata"]["name"]
