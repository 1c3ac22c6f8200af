"""Nothing is made in a namespace that does not exist or is going away; the system's own namespaces stay."""

from __future__ import annotations

from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key, Obj, is_deleting

_UNDELETABLE = ("default", "kube-system", "kube-public")


def require_live_namespace(api: Api, call: Call, obj: Obj, old: Obj | None) -> None:
    if not call.resource.namespaced or not call.namespace or call.resource.group == "authorization.k8s.io":
        return
    record = api.store.latest(kinds.NAMESPACES.storage_key, Key("", call.namespace))
    if record is None:
        raise refusals.not_found(kinds.NAMESPACES, call.namespace)
    if is_deleting(record.obj):
        error = refusals.forbidden(
            call.resource,
            obj["metadata"].get("name", ""),
            f"unable to create new content in namespace {call.namespace} because it is being terminated",
        )
        error.causes = [
            {
                "reason": "NamespaceTerminating",
                "message": f"namespace {call.namespace} is being terminated",
                "field": "metadata.namespace",
            }
        ]
        raise error


def protect_system_namespaces(api: Api, call: Call, old: Obj) -> None:
    if call.resource.storage_key == kinds.NAMESPACES.storage_key and call.name in _UNDELETABLE:
        raise refusals.forbidden(call.resource, call.name, "this namespace may not be deleted")
