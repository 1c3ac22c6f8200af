"""What each kind keeps for itself when it is created or replaced: status, generation, first states.

Source: Kubernetes pkg/registry/*/*/strategy.go, PrepareForCreate and PrepareForUpdate.
"""

from __future__ import annotations

from typing import Any

from orchestrator.objects import kinds
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj

_STATUS_SET_BY_CREATOR = {kinds.NODES.storage_key, kinds.EVENTS.storage_key}
_NO_GENERATION = {
    resource.storage_key
    for resource in (
        kinds.SERVICES, kinds.NODES, kinds.NAMESPACES, kinds.PERSISTENTVOLUMES, kinds.PERSISTENTVOLUMECLAIMS,
        kinds.RESOURCEQUOTAS, kinds.LIMITRANGES, kinds.LEASES, kinds.CONFIGMAPS, kinds.SECRETS, kinds.SERVICEACCOUNTS,
        kinds.EVENTS, kinds.ENDPOINTS, kinds.ROLES, kinds.ROLEBINDINGS, kinds.CLUSTERROLES, kinds.CLUSTERROLEBINDINGS,
        kinds.CONTROLLERREVISIONS, kinds.STORAGECLASSES,
    )
}  # fmt: skip
_FIRST_STATUS: dict[str, dict[str, Any]] = {
    "pods": {"phase": "Pending"},
    "namespaces": {"phase": "Active"},
    "persistentvolumes": {"phase": "Pending"},
    "persistentvolumeclaims": {"phase": "Pending"},
    "services": {"loadBalancer": {}},
    "ingresses.networking.k8s.io": {"loadBalancer": {}},
}
GRACEFUL = {kinds.PODS.storage_key}
"""Kinds that are deleted in two steps: a deletionTimestamp first, the removal when their agent is done."""


def has_status(resource: Resource) -> bool:
    return "status" in resource.subresources


def has_generation(resource: Resource) -> bool:
    return resource.storage_key not in _NO_GENERATION


def prepare_create(resource: Resource, obj: Obj) -> None:
    """Change a new object in place to what its kind starts as."""
    storage = resource.storage_key
    if has_status(resource) and storage not in _STATUS_SET_BY_CREATOR:
        obj.pop("status", None)
        if storage in _FIRST_STATUS:
            obj["status"] = dict(_FIRST_STATUS[storage])
        elif resource.group and not _is_custom(resource):
            obj["status"] = {}
    if has_generation(resource):
        obj["metadata"]["generation"] = 1
    if storage == kinds.NAMESPACES.storage_key:
        finalizers = obj.setdefault("spec", {}).setdefault("finalizers", [])
        if "kubernetes" not in finalizers:
            finalizers.append("kubernetes")
        obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]


def prepare_update(resource: Resource, subresource: str, old: Obj, new: Obj) -> None:
    """Change `new` in place so that only what this endpoint may write differs from `old`."""
    match subresource:
        case "":
            if has_status(resource):
                _copy_field(old, new, "status")
            if resource.storage_key == kinds.NAMESPACES.storage_key:
                new.setdefault("spec", {})["finalizers"] = list((old.get("spec") or {}).get("finalizers") or ())
                labels = new["metadata"].setdefault("labels", {})
                labels["kubernetes.io/metadata.name"] = new["metadata"]["name"]
        case "status":
            _keep_all_but(old, new, ("status", "metadata"))
            _keep_metadata(resource, old, new)
        case "finalize":
            spec = new.get("spec") or {}
            finalizers = list(spec.get("finalizers") or ())
            _keep_all_but(old, new, ("metadata",))
            _keep_metadata(resource, old, new)
            new["spec"] = {**(old.get("spec") or {}), "finalizers": finalizers}
            if not finalizers:
                del new["spec"]["finalizers"]
    if has_generation(resource):
        generation = int(old["metadata"].get("generation") or 0)
        if subresource == "" and _desired_state(resource, old) != _desired_state(resource, new):
            generation += 1
        if generation:
            new["metadata"]["generation"] = generation


def _desired_state(resource: Resource, obj: Obj) -> Obj:
    ignored = {"metadata", "status"} if has_status(resource) else {"metadata"}
    return {key: value for key, value in obj.items() if key not in ignored}


def _copy_field(old: Obj, new: Obj, field: str) -> None:
    if field in old:
        new[field] = old[field]
    else:
        new.pop(field, None)


def _keep_all_but(old: Obj, new: Obj, fields: tuple[str, ...]) -> None:
    for field in [field for field in new if field not in fields]:
        del new[field]
    for field, value in old.items():
        if field not in fields:
            new[field] = value


def _keep_metadata(resource: Resource, old: Obj, new: Obj) -> None:
    """Status writers may not change metadata, but for managedFields; built-in kinds let them label and annotate."""
    kept = dict(old["metadata"])
    for field in ("managedFields", "resourceVersion"):
        if field in new["metadata"]:
            kept[field] = new["metadata"][field]
    if not _is_custom(resource):
        for field in ("labels", "annotations", "finalizers"):
            kept.pop(field, None)
            if field in new["metadata"]:
                kept[field] = new["metadata"][field]
    new["metadata"] = kept


def _is_custom(resource: Resource) -> bool:
    return getattr(resource, "custom", None) is not None
