"""Facts that follow from a pod's spec or status, needed by more than one part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.objects import quantity

_QOS_RESOURCES = ("cpu", "memory")


def containers_of(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Init and main containers, in the order they start."""
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def is_sidecar(container: Mapping[str, Any]) -> bool:
    """Whether an init container keeps running beside the main ones."""
    return container.get("restartPolicy") == "Always"


def qos_class(spec: Mapping[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort. Source: kubernetes pkg/apis/core/v1/helper/qos/qos.go."""
    any_set, guaranteed = False, True
    pod_level = spec.get("resources") or {}
    if pod_level.get("limits") or pod_level.get("requests"):
        holders = [pod_level]
    else:
        holders = [container.get("resources") or {} for container in containers_of(spec)]
    for resources in holders:
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        for name in _QOS_RESOURCES:
            limit: Any = limits.get(name)
            request: Any = requests.get(name, limit)
            any_set = any_set or _positive(limit) or _positive(request)
            same = _positive(limit) and quantity.compare(limit, request) == 0
            guaranteed = guaranteed and same
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _positive(value: Any) -> bool:
    return value is not None and quantity.parse_quantity(value).nanos > 0
