"""What the server decides about a write, whatever the writer sent: status, generation, copied and reset fields.

All functions change `obj` or `new` in place and only read `old`; what an update keeps whole, such as the status, is
shared by both, as stored objects never change. Source: the strategy.go of each kind in kubernetes
pkg/registry.
"""

from __future__ import annotations

from typing import Any

from orchestrator.objects import pod_status
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj, clone

_SERVER_METADATA = ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion")
_COPIED_METADATA = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_WITH_GENERATION = frozenset((
    "Pod", "PodTemplate", "ReplicationController", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job",
    "CronJob", "Ingress", "IngressClass", "NetworkPolicy", "PodDisruptionBudget", "CustomResourceDefinition",
    "EndpointSlice", "PriorityClass", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
    "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
))  # fmt: skip
_KEEPS_STATUS_ON_CREATE = frozenset(("Node",))
_OPEN_TYPES = ("NodePort", "LoadBalancer")  # of Services: reached through ports of the nodes
_CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
_JOB_NAME = "batch.kubernetes.io/job-name"


def has_status(resource: Resource) -> bool:
    """Whether status moves only through `/status`."""
    return "status" in resource.subresources


def has_generation(resource: Resource) -> bool:
    return resource.custom is not None or (resource.kind in _WITH_GENERATION)


def prepare_create(resource: Resource, obj: Obj) -> None:
    """To be called after defaulting, once metadata.name, uid and creationTimestamp are set."""
    meta = obj["metadata"]
    for field in _SERVER_METADATA:
        meta.pop(field, None)
    meta.pop("generation", None)
    if has_generation(resource):
        meta["generation"] = 1
    if has_status(resource) and resource.kind not in _KEEPS_STATUS_ON_CREATE:
        obj.pop("status", None)
        if resource.custom is None:
            obj["status"] = _first_status(resource, obj)
    if resource.group == "" and resource.kind == "Namespace":
        spec = obj.setdefault("spec", {})
        if "kubernetes" not in (spec.get("finalizers") or ()):
            spec["finalizers"] = [*(spec.get("finalizers") or ()), "kubernetes"]
    elif resource.group == "batch" and resource.kind == "Job":
        _label_job(obj)


def _first_status(resource: Resource, obj: Obj) -> dict[str, Any]:
    match resource.kind:
        case "Pod":
            return {"phase": "Pending", "qosClass": pod_status.qos_class(obj["spec"])}
        case "Namespace":
            return {"phase": "Active"}
        case "Service" | "Ingress":
            return {"loadBalancer": {}}
        case "PersistentVolume" | "PersistentVolumeClaim":
            return {"phase": "Pending"}
        case "Deployment" | "Job" | "CronJob" | "ResourceQuota":
            return {}
        case "ReplicaSet" | "ReplicationController":
            return {"replicas": 0}
        case "StatefulSet":
            return {"replicas": 0, "availableReplicas": 0}
        case "DaemonSet":
            fields = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
            return dict.fromkeys(fields, 0)
        case "HorizontalPodAutoscaler":
            empty: dict[str, Any] = {"currentReplicas": 0, "desiredReplicas": 0}
            return empty if resource.version == "v1" else empty | {"currentMetrics": None}
        case "PodDisruptionBudget":
            fields = ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods")
            return dict.fromkeys(fields, 0)
        case "ValidatingAdmissionPolicy":
            return {"observedGeneration": 1, "typeChecking": {}}
        case "CustomResourceDefinition":
            return {"conditions": [], "acceptedNames": {"kind": "", "plural": ""}, "storedVersions": []}
    return {}


def _label_job(obj: Obj) -> None:
    """The selector and labels that tie a Job's pods to it, unless its writer made them."""
    spec = obj["spec"]
    template = spec.get("template")
    if not isinstance(template, dict):
        return
    labels = template.setdefault("metadata", {}).setdefault("labels", {})
    if not spec.get("manualSelector"):
        uid = obj["metadata"].get("uid", "")
        labels["controller-uid"] = labels[_CONTROLLER_UID] = uid
        labels["job-name"] = labels[_JOB_NAME] = obj["metadata"].get("name", "")
        spec.setdefault("selector", {}).setdefault("matchLabels", {})[_CONTROLLER_UID] = uid


def prepare_update(resource: Resource, new: Obj, old: Obj, subresource: str = "") -> None:
    """To be called after defaulting, before validation: keeps what this writer may not touch, moves the generation."""
    meta, before = new["metadata"], old["metadata"]
    for field in _COPIED_METADATA:
        if field in before:
            meta[field] = before[field]
        else:
            meta.pop(field, None)
    if subresource == "status":
        _keep_all_but_status(resource, new, old)
        return
    if subresource == "ephemeralcontainers":
        _keep_all_but_debuggers(new, old)
    if has_status(resource):
        _keep(new, old, "status")
    if resource.custom is None:
        if fixer := _ON_UPDATE.get((resource.group, resource.kind)):
            fixer(new, old)
    if has_generation(resource) and spec_changed(resource, new, old):
        meta["generation"] = int(before.get("generation") or 0) + 1
        if resource.kind == "ValidatingAdmissionPolicy":  # in force, and so observed, with the write itself
            new["status"] = {**(new.get("status") or {}), "observedGeneration": meta["generation"]}


def _keep(new: Obj, old: Obj, field: str) -> None:
    if field in old:
        new[field] = old[field]
    else:
        new.pop(field, None)


def _keep_all_but_debuggers(new: Obj, old: Obj) -> None:
    debuggers = (new.get("spec") or {}).get("ephemeralContainers") or []
    new["spec"] = {key: value for key, value in old["spec"].items() if key != "ephemeralContainers"}
    if debuggers:
        new["spec"]["ephemeralContainers"] = debuggers
    for field in ("labels", "annotations", "ownerReferences", "finalizers"):
        _keep(new["metadata"], old["metadata"], field)


_NOT_WITH_STATUS = {
    "deployments.apps": ("labels",),
    "customresourcedefinitions.apiextensions.k8s.io": ("labels", "annotations", "finalizers", "ownerReferences"),
}
"""What else of the metadata a write of the status leaves alone; of the other kinds it may change both."""


def _keep_all_but_status(resource: Resource, new: Obj, old: Obj) -> None:
    for field in new.keys() - old.keys() - {"status"}:
        del new[field]
    for field in old.keys() - {"status", "metadata"}:
        new[field] = old[field]
    meta = new["metadata"]
    if resource.custom is not None:
        kept = {"managedFields", "resourceVersion"}
        new["metadata"] = {**old["metadata"], **{key: meta[key] for key in kept & meta.keys()}}
    elif resource.kind == "Pod":
        meta.pop("deletionTimestamp", None) if "deletionTimestamp" not in old["metadata"] else None
        if "ownerReferences" in old["metadata"]:
            meta["ownerReferences"] = old["metadata"]["ownerReferences"]
        if qos := (old.get("status") or {}).get("qosClass"):
            new.setdefault("status", {}).setdefault("qosClass", qos)
    for field in _NOT_WITH_STATUS.get(resource.storage_key, ()):
        _keep(meta, old["metadata"], field)


def spec_changed(resource: Resource, new: Obj, old: Obj) -> bool:
    """Whether anything but metadata and status differs (for Pods and other kinds: the spec)."""
    if resource.custom is None or has_status(resource):
        ignored = {"metadata", "status"}
    else:
        ignored = {"metadata"}
    keys = (new.keys() | old.keys()) - ignored
    return any(new.get(key) != old.get(key) for key in keys)


def _keep_service_addresses(new: Obj, old: Obj) -> None:
    """An update that leaves the allocated address, node ports or families out keeps them."""
    spec, before = new["spec"], old.get("spec") or {}
    kind, was = spec.get("type"), before.get("type")
    _drop_what_needs_another_type(spec, before)
    if "ExternalName" in (kind, was):
        return
    for field in ("clusterIP", "clusterIPs"):
        if not spec.get(field) and before.get(field):
            spec[field] = clone(before[field])
    if kind == was and kind in _OPEN_TYPES:
        allocated = {(port.get("protocol"), port["port"]): port.get("nodePort") for port in before.get("ports") or ()}
        used = {port.get("nodePort") for port in spec.get("ports") or ()}
        for port in spec.get("ports") or ():
            kept = allocated.get((port.get("protocol"), port.get("port")))
            if not port.get("nodePort") and kept and kept not in used:
                port["nodePort"] = kept


def _drop_what_needs_another_type(spec: Obj, before: Obj) -> None:
    """A Service that changes its type keeps nothing of what only the old one had."""
    kind, was = spec.get("type"), before.get("type")
    gone: tuple[str, ...] = ()
    if kind == "ExternalName":
        gone = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
    if kind not in _OPEN_TYPES:
        before_ports = {port.get("nodePort") for port in before.get("ports") or ()}
        for port in spec.get("ports") or ():
            if port.get("nodePort") in before_ports:
                port.pop("nodePort", None)
        if was in _OPEN_TYPES:
            gone += ("externalTrafficPolicy",)
    if kind != "LoadBalancer" and was == "LoadBalancer":
        gone += ("allocateLoadBalancerNodePorts", "healthCheckNodePort", "loadBalancerClass")
    for field in gone:
        spec.pop(field, None)


def _keep_namespace_finalizers(new: Obj, old: Obj) -> None:
    _keep(new, old, "spec")


def _keep_job_selector(new: Obj, old: Obj) -> None:
    spec, before = new["spec"], old.get("spec") or {}
    if not spec.get("selector") and before.get("selector"):
        spec["selector"] = clone(before["selector"])
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    kept = ((before.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if not spec.get("manualSelector") and isinstance(spec.get("template"), dict):
        for label in ("controller-uid", "job-name", _CONTROLLER_UID, _JOB_NAME):
            if label in kept and (labels is None or label not in labels):
                labels = spec["template"].setdefault("metadata", {}).setdefault("labels", {})
                labels[label] = kept[label]


def _keep_account_secrets(new: Obj, old: Obj) -> None:
    if "secrets" not in new and old.get("secrets"):
        new["secrets"] = clone(old["secrets"])


_ON_UPDATE = {
    ("", "Service"): _keep_service_addresses,
    ("", "Namespace"): _keep_namespace_finalizers,
    ("", "ServiceAccount"): _keep_account_secrets,
    ("batch", "Job"): _keep_job_selector,
}
