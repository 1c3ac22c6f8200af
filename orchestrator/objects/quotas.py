"""What an object counts for in the ResourceQuotas of its namespace: for the server that refuses too much, and for the
reconciler that tells how much is used.

Source: kubernetes pkg/quota/v1/evaluator/core.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.objects.kinds import PODS, Resource
from orchestrator.objects.meta import Obj
from orchestrator.objects.quantity import format_quantity, parse_quantity

_OLD_NAMES = {
    "pods", "services", "configmaps", "secrets", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas",
}  # fmt: skip

Usage = dict[str, int]
"""Resource name -> nanos."""
_ONE = 10**9


def usage_of(resource: Resource, obj: Obj) -> Usage:
    """What one object counts for, under every name a quota may use."""
    usage: Usage = {f"count/{resource.group_resource}": _ONE}
    if resource.plural in _OLD_NAMES and not resource.group:
        usage[resource.plural] = _ONE
    if resource is PODS or resource.plural == "pods":
        if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return {"count/pods": _ONE}
        usage.update(_pod_usage(obj["spec"]))
    elif resource.plural == "services" and not resource.group:
        usage.update(_service_usage(obj["spec"]))
    elif resource.plural == "persistentvolumeclaims":
        usage.update(_claim_usage(obj["spec"]))
    return usage


def _pod_usage(spec: Mapping[str, Any]) -> Usage:
    usage: Usage = {}
    for part, prefix in (("requests", "requests."), ("limits", "limits.")):
        for name, nanos in _pod_total(spec, part).items():
            usage[prefix + name] = nanos
            if part == "requests":
                usage[name] = nanos
    return usage


def _pod_total(spec: Mapping[str, Any], part: str) -> Usage:
    """Containers and sidecars together, or the largest init container."""
    total: Usage = {}
    peak: Usage = {}
    for container in spec["containers"]:
        _add(total, _amounts(container, part))
    sidecars: Usage = {}
    for container in spec.get("initContainers") or ():
        asked = _amounts(container, part)
        if container.get("restartPolicy") == "Always":
            _add(total, asked)
            _add(sidecars, asked)
            continue
        for name, nanos in asked.items():
            peak[name] = max(peak.get(name, 0), nanos + sidecars.get(name, 0))
    for name, nanos in peak.items():
        total[name] = max(total.get(name, 0), nanos)
    return total


def _amounts(container: Mapping[str, Any], part: str) -> Usage:
    return {
        name: parse_quantity(value).nanos
        for name, value in ((container.get("resources") or {}).get(part) or {}).items()
    }


def _add(total: Usage, more: Mapping[str, int]) -> None:
    for name, nanos in more.items():
        total[name] = total.get(name, 0) + nanos


def _service_usage(spec: Mapping[str, Any]) -> Usage:
    ports = len(spec.get("ports") or ())
    match spec.get("type"):
        case "NodePort":
            return {"services.nodeports": ports * _ONE}
        case "LoadBalancer":
            opened = 0 if spec.get("allocateLoadBalancerNodePorts") is False else ports
            return {"services.loadbalancers": _ONE, "services.nodeports": opened * _ONE}
    return {}


def _claim_usage(spec: Mapping[str, Any]) -> Usage:
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    usage: Usage = {"requests.storage": parse_quantity(asked).nanos} if asked else {}
    if name := spec.get("storageClassName"):
        prefix = f"{name}.storageclass.storage.k8s.io/"
        usage[prefix + "persistentvolumeclaims"] = _ONE
        if asked:
            usage[prefix + "requests.storage"] = usage["requests.storage"]
    return usage


def in_scope(quota: Obj, pod: Obj) -> bool:
    """Whether a scoped quota speaks of this pod."""
    scopes = [{"scopeName": name, "operator": "Exists"} for name in quota["spec"].get("scopes") or ()]
    scopes += (quota["spec"].get("scopeSelector") or {}).get("matchExpressions") or []
    return all(_in_one_scope(one, pod) for one in scopes)


def _in_one_scope(scope: Mapping[str, Any], pod: Obj) -> bool:
    spec, name = pod["spec"], scope["scopeName"]
    if name in ("BestEffort", "NotBestEffort"):
        best_effort = not any(
            (one.get("resources") or {}).get(part)
            for one in (*spec["containers"], *(spec.get("initContainers") or ()))
            for part in ("requests", "limits")
        )
        return bool(best_effort == (name == "BestEffort"))
    if name in ("Terminating", "NotTerminating"):
        return bool((spec.get("activeDeadlineSeconds") is not None) == (name == "Terminating"))
    if name == "PriorityClass":
        value, values = spec.get("priorityClassName") or "", scope.get("values") or ()
        match scope.get("operator"):
            case "In":
                return value in values
            case "NotIn":
                return value not in values
            case "DoesNotExist":
                return not value
        return bool(value)
    return True


def used_of(quota: Obj, objects: Iterable[tuple[Resource, Obj]]) -> dict[str, str]:
    """`status.used` over all objects of the namespace."""
    hard = quota["spec"].get("hard") or {}
    scoped = bool(quota["spec"].get("scopes") or quota["spec"].get("scopeSelector"))
    total: Usage = {}
    for resource, obj in objects:
        if scoped and (resource is not PODS or not in_scope(quota, obj)):
            continue
        for name, nanos in usage_of(resource, obj).items():
            if name in hard:
                total[name] = total.get(name, 0) + nanos
    return {name: format_quantity(total.get(name, 0), parse_quantity(limit).form) for name, limit in hard.items()}
