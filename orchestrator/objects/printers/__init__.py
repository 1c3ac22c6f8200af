"""Objects as the Tables kubectl prints: one module of row functions for each family of kinds.

Source: kubernetes pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.objects.printers import admission, cluster, custom, network, pods, workloads
from orchestrator.objects.printers.cells import Printer, column, since, timestamp

IncludeObject = Literal["None", "Metadata", "Object"]
PARTIAL = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
_DEFAULT = Printer(("Name:name", "Created At"), lambda obj, now: [obj["metadata"]["name"], timestamp(obj)])
_METRICS = Printer(("Name:name", "Age"), lambda obj, now: [obj["metadata"]["name"], since(obj.get("timestamp"), now)])


def table(
    resource: Resource,
    objs: Iterable[Obj],
    *,
    now: float,
    resource_version: str = "",
    include_object: IncludeObject = "Metadata",
    list_meta: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The Table of `objs`; `now` is in seconds of the epoch. Rows share what they hold with the objects."""
    printer = printer_of(resource)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": list_meta if list_meta is not None else {"resourceVersion": resource_version},
        "columnDefinitions": [column(text) for text in printer.columns] if resource.custom is None else (
            custom.columns(resource.custom)
        ),
        "rows": [_row(printer, obj, now, include_object) for obj in objs],
    }  # fmt: skip


def _row(printer: Printer, obj: Obj, now: float, include_object: IncludeObject) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": printer.cells(obj, now)}
    if printer.conditions is not None and (conditions := printer.conditions(obj)):
        row["conditions"] = conditions
    if include_object == "Metadata":
        row["object"] = {**PARTIAL, "metadata": obj["metadata"]}
    elif include_object == "Object":
        row["object"] = obj
    return row


def partial(obj: Obj) -> Obj:
    """`obj` as PartialObjectMetadata; shares its metadata."""
    return {**PARTIAL, "metadata": obj["metadata"]}


def printer_of(resource: Resource) -> Printer:
    if resource.custom is not None:
        return custom.printer(resource.custom)
    if resource.group == "metrics.k8s.io":
        return _METRICS
    return _PRINTERS.get(resource.kind, _DEFAULT)


_PRINTERS: dict[str, Printer] = {
    "Pod": pods.POD,
    "Deployment": workloads.DEPLOYMENT,
    "ReplicaSet": workloads.REPLICA_SET,
    "ReplicationController": workloads.REPLICA_SET,
    "PodTemplate": workloads.POD_TEMPLATE,
    "StatefulSet": workloads.STATEFUL_SET,
    "DaemonSet": workloads.DAEMON_SET,
    "ControllerRevision": workloads.CONTROLLER_REVISION,
    "Job": workloads.JOB,
    "CronJob": workloads.CRON_JOB,
    "HorizontalPodAutoscaler": workloads.AUTOSCALER,
    "PodDisruptionBudget": workloads.DISRUPTION_BUDGET,
    "Service": network.SERVICE,
    "Endpoints": network.ENDPOINTS,
    "EndpointSlice": network.ENDPOINT_SLICE,
    "Ingress": network.INGRESS,
    "IngressClass": network.INGRESS_CLASS,
    "NetworkPolicy": network.NETWORK_POLICY,
    "Namespace": cluster.NAMESPACE,
    "Node": cluster.NODE,
    "ConfigMap": cluster.CONFIG_MAP,
    "Secret": cluster.SECRET,
    "ServiceAccount": cluster.SERVICE_ACCOUNT,
    "Event": cluster.EVENT,
    "PersistentVolume": cluster.VOLUME,
    "PersistentVolumeClaim": cluster.CLAIM,
    "StorageClass": cluster.STORAGE_CLASS,
    "ResourceQuota": cluster.QUOTA,
    "RoleBinding": cluster.ROLE_BINDING,
    "ClusterRoleBinding": cluster.ROLE_BINDING,
    "Lease": cluster.LEASE,
    "PriorityClass": cluster.PRIORITY_CLASS,
    "MutatingWebhookConfiguration": admission.WEBHOOKS,
    "ValidatingWebhookConfiguration": admission.WEBHOOKS,
    "ValidatingAdmissionPolicy": admission.POLICY,
    "ValidatingAdmissionPolicyBinding": admission.BINDING,
}
