"""What a node's agent may do: keep its own Node, Lease and pods, read what they mount.

Source: kubernetes plugin/pkg/auth/authorizer/node (with AuthorizeNodeWithSelectors) and
plugin/pkg/admission/noderestriction. The difference from RBAC is the look at the pods: a Secret is readable for a node
exactly while a pod that uses it is bound there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.apiserver.api import Api
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key, Obj

if TYPE_CHECKING:
    from orchestrator.apiserver.authorization import Attributes

_READ = ("get", "list", "watch")
_WRITE = ("create", "update", "patch", "delete")
_OPEN = {("", "services"), ("storage.k8s.io", "storageclasses"), ("node.k8s.io", "runtimeclasses")}
"""Readable for every node. What its share of the network needs besides is another identity's (`paas:network`)."""
_MOUNTED = {"secrets", "configmaps", "persistentvolumeclaims", "persistentvolumes"}
_REVIEWS = {
    ("authentication.k8s.io", "tokenreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
}
_LEASE_NAMESPACE = "kube-node-lease"


def node_may(api: Api, asked: Attributes) -> bool:
    node, kind = asked.user.node_name, (asked.group, asked.resource)
    if kind in _REVIEWS:
        return asked.verb == "create"
    if asked.verb in _READ and not asked.subresource and kind in _OPEN:
        return True
    match kind:
        case ("", "nodes"):
            own = asked.name == node or asked.verb == "create"
            return asked.subresource in ("", "status") and own and asked.verb in ("create", "update", "patch", *_READ)
        case ("", "pods"):
            return _pods(api, asked, node)
        case ("coordination.k8s.io", "leases"):
            own = asked.name == node or asked.verb == "create"
            return asked.namespace == _LEASE_NAMESPACE and own and asked.verb in ("get", *_WRITE)
        case ("", "events") | ("events.k8s.io", "events"):
            return asked.verb in ("create", "update", "patch")
        case ("", "serviceaccounts"):
            return _service_account(api, asked, node)
        case ("", resource) if resource in _MOUNTED:
            return asked.verb in _READ and bool(asked.name) and _is_used(api, asked, node)
    return False


def _pods(api: Api, asked: Attributes, node: str) -> bool:
    """A node reads its pods, changes their status, and removes them when they have ended."""
    if asked.verb in ("list", "watch") and not asked.name:
        return not asked.subresource and asked.node == node
    record = api.store.latest(kinds.PODS.storage_key, Key(asked.namespace, asked.name))
    if record is None:
        return bool(asked.name) and asked.verb in ("delete", "update", "patch")  # answered with "not found"
    if (record.obj.get("spec") or {}).get("nodeName") != node:
        return False
    if asked.subresource == "status":
        return asked.verb in ("get", "update", "patch")
    if asked.subresource == "eviction":
        return asked.verb == "create"
    return not asked.subresource and asked.verb in ("delete", *_READ)


def _service_account(api: Api, asked: Attributes, node: str) -> bool:
    if asked.subresource == "token" and asked.verb == "create" or (not asked.subresource and asked.verb == "get"):
        return any(pod["spec"].get("serviceAccountName") == asked.name for pod in _pods_on(api, node, asked.namespace))
    return False


def _pods_on(api: Api, node: str, namespace: str) -> list[Obj]:
    return [
        record.obj
        for record in api.store.list(kinds.PODS.storage_key, namespace)
        if record.obj["spec"].get("nodeName") == node
    ]


def _is_used(api: Api, asked: Attributes, node: str) -> bool:
    if asked.resource == "persistentvolumes":
        record = api.store.get(kinds.PERSISTENTVOLUMES.storage_key, Key("", asked.name))
        claim = ((record.obj.get("spec") or {}).get("claimRef") or {}) if record else {}
        pods = _pods_on(api, node, claim.get("namespace", "")) if claim else []
        return any(("persistentvolumeclaims", claim.get("name")) in used_by(pod) for pod in pods)
    pods = _pods_on(api, node, asked.namespace)
    return any((asked.resource, asked.name) in used_by(pod) for pod in pods)


def used_by(pod: Obj) -> set[tuple[str, str]]:
    """(resource, name) of the secrets, config maps and claims that the pod mounts or reads its environment from."""
    spec, used = pod["spec"], set()
    for secret in spec.get("imagePullSecrets") or ():
        used.add(("secrets", secret.get("name", "")))
    for volume in spec.get("volumes") or ():
        used |= _volume_uses(pod, volume)
    for field in ("containers", "initContainers", "ephemeralContainers"):
        for container in spec.get(field) or ():
            used |= _environment_uses(container)
    return used


def _volume_uses(pod: Obj, volume: dict[str, Any]) -> set[tuple[str, str]]:
    used = set()
    for source in (volume, *((volume.get("projected") or {}).get("sources") or ())):
        if secret := source.get("secret"):
            used.add(("secrets", secret.get("secretName") or secret.get("name", "")))
        if config := source.get("configMap"):
            used.add(("configmaps", config.get("name", "")))
    if claim := volume.get("persistentVolumeClaim"):
        used.add(("persistentvolumeclaims", claim.get("claimName", "")))
    if volume.get("ephemeral"):
        used.add(("persistentvolumeclaims", f"{pod['metadata']['name']}-{volume['name']}"))
    return used


def _environment_uses(container: dict[str, Any]) -> set[tuple[str, str]]:
    used = set()
    for source in container.get("envFrom") or ():
        if secret := source.get("secretRef"):
            used.add(("secrets", secret.get("name", "")))
        if config := source.get("configMapRef"):
            used.add(("configmaps", config.get("name", "")))
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        if secret := source.get("secretKeyRef"):
            used.add(("secrets", secret.get("name", "")))
        if config := source.get("configMapKeyRef"):
            used.add(("configmaps", config.get("name", "")))
    return used
