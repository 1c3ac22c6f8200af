"""Between versions of a kind that share their stored objects: autoscalers v1 and v2, Events of both groups.

Objects are stored as one version (`STORED`) and converted at the edge. Nothing is lost on the way there and back: what
the other version has no field for travels in annotations, as in Kubernetes.
"""

from __future__ import annotations

from typing import Any

import orjson

from orchestrator.objects.custom import CustomType, apply_defaults
from orchestrator.objects.kinds import EVENTS, EVENTS_V1, HPAS_V1, HPAS_V2, Resource
from orchestrator.objects.meta import Obj, clone

STORED: dict[str, Resource] = {HPAS_V2.storage_key: HPAS_V2, EVENTS.storage_key: EVENTS}
"""Storage key → the version its objects are stored in, where there is more than one."""
_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"
_CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"


def stored_resource(resource: Resource) -> Resource:
    return resource if resource.custom is not None else STORED.get(resource.storage_key, resource)


def convert(obj: Obj, target: Resource, *, complete: bool = True) -> Obj:
    """`obj` as `target`'s version of the same kind; the very same object when it is that already.

    Custom resources are completed on the way: a default added to their definition shows in what was stored before.
    Not so (`complete=False`) a configuration that somebody applies: it holds what they said, and no more.
    """
    if target.custom is not None:
        return _to_custom(obj, target, target.custom if complete else None)
    if obj.get("apiVersion") == target.api_version and obj.get("kind") == target.kind:
        return obj
    if target == HPAS_V1:
        return _autoscaler_to_v1(obj)
    if target == HPAS_V2:
        return _autoscaler_to_v2(obj)
    if target == EVENTS_V1:
        return _event_to_group(obj)
    if target == EVENTS:
        return _event_to_core(obj)
    return {**obj, "apiVersion": target.api_version, "kind": target.kind}


def _to_custom(obj: Obj, target: Resource, custom: CustomType | None) -> Obj:
    """Versions of a custom resource differ in name, and in what their schemas fill in."""
    if (obj.get("apiVersion"), obj.get("kind")) != (target.api_version, target.kind):
        obj = {**obj, "apiVersion": target.api_version, "kind": target.kind}
    if custom is None or not custom.has_defaults:
        return obj
    completed: Obj = clone(obj)
    apply_defaults(custom, completed)
    return completed if completed != obj else obj


def _cpu_metric(metric: dict[str, Any]) -> int | None:
    resource = metric.get("resource") or {}
    target = resource.get("target") or {}
    if metric.get("type") == "Resource" and resource.get("name") == "cpu" and target.get("type") == "Utilization":
        value: int | None = target.get("averageUtilization")
        return value
    return None


def _autoscaler_to_v1(obj: Obj) -> Obj:
    result = _copied(obj, HPAS_V1)
    spec, status = result["spec"], result.get("status") or {}
    annotations = dict(result["metadata"].get("annotations") or {})
    rest = []
    for metric in spec.pop("metrics", None) or ():
        value = _cpu_metric(metric)
        if value is not None and "targetCPUUtilizationPercentage" not in spec:
            spec["targetCPUUtilizationPercentage"] = value
        else:
            rest.append(metric)
    kept = {_METRICS: rest, _BEHAVIOR: spec.pop("behavior", None)}
    others = []
    for metric in status.pop("currentMetrics", None) or ():
        current = (metric.get("resource") or {}).get("current") or {}
        if (metric.get("resource") or {}).get("name") == "cpu" and "averageUtilization" in current:
            status["currentCPUUtilizationPercentage"] = current["averageUtilization"]
        others.append(metric)
    kept |= {_CURRENT: others, _CONDITIONS: status.pop("conditions", None)}
    annotations |= {key: orjson.dumps(value).decode() for key, value in kept.items() if value}
    if annotations:
        result["metadata"]["annotations"] = annotations
    return result


def _autoscaler_to_v2(obj: Obj) -> Obj:
    result = _copied(obj, HPAS_V2)
    spec, status = result["spec"], result.get("status") or {}
    annotations = dict(result["metadata"].get("annotations") or {})
    kept = {key: _loaded(annotations.pop(key, "")) for key in (_METRICS, _BEHAVIOR, _CURRENT, _CONDITIONS)}
    metrics = list(kept[_METRICS] or ())
    value = spec.pop("targetCPUUtilizationPercentage", None)
    if value is not None:
        target = {"type": "Utilization", "averageUtilization": value}
        metrics.insert(0, {"type": "Resource", "resource": {"name": "cpu", "target": target}})
    if metrics:
        spec["metrics"] = metrics
    if kept[_BEHAVIOR]:
        spec["behavior"] = kept[_BEHAVIOR]
    status.pop("currentCPUUtilizationPercentage", None)
    if kept[_CURRENT]:
        status["currentMetrics"] = kept[_CURRENT]
    if kept[_CONDITIONS]:
        status["conditions"] = kept[_CONDITIONS]
    result["metadata"].pop("annotations", None)
    if annotations:
        result["metadata"]["annotations"] = annotations
    return result


def _loaded(text: str) -> Any:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return None


def _copied(obj: Obj, target: Resource) -> Obj:
    result: Obj = clone(obj)
    result["apiVersion"], result["kind"] = target.api_version, target.kind
    result.setdefault("spec", {})
    return result


_EVENT_FIELDS = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_GROUP_FIELDS = {new: old for old, new in _EVENT_FIELDS.items()}


def _event_to_group(obj: Obj) -> Obj:
    result = {_EVENT_FIELDS.get(key, key): value for key, value in obj.items()}
    if not result.get("eventTime"):  # required in this version, though events of the core group seldom have it
        result["eventTime"] = _first_seen(obj)
    return {**result, "apiVersion": EVENTS_V1.api_version, "kind": "Event"}


def _first_seen(event: Obj) -> str | None:
    """When an event of the core group began."""
    made: str | None = event.get("firstTimestamp") or event["metadata"].get("creationTimestamp")
    return made


def _event_to_core(obj: Obj) -> Obj:
    result = {_GROUP_FIELDS.get(key, key): value for key, value in obj.items()}
    if result.get("eventTime") == _first_seen(result):
        result.pop("eventTime", None)
    return {**result, "apiVersion": EVENTS.api_version, "kind": "Event"}
