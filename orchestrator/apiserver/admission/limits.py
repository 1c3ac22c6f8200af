"""LimitRanges: what containers that ask for nothing get, and what none may ask for.

Source: kubernetes plugin/pkg/admission/limitranger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.objects import kinds
from orchestrator.objects.meta import Obj
from orchestrator.objects.pod_status import qos_class
from orchestrator.objects.quantity import parse_quantity

Amounts = Mapping[str, str]


def apply_limit_ranges(api: Api, call: Call, obj: Obj, old: Obj | None) -> None:
    """Raises: Forbidden, naming every limit that is broken."""
    limits = [
        item
        for record in api.store.list(kinds.LIMITRANGES.storage_key, call.namespace)
        for item in (record.obj.get("spec") or {}).get("limits") or ()
    ]
    if not limits:
        return
    if call.resource.storage_key == kinds.PERSISTENTVOLUMECLAIMS.storage_key:
        requests = ((obj["spec"].get("resources") or {}).get("requests")) or {}
        claims = [item for item in limits if item.get("type") == "PersistentVolumeClaim"]
        broken = [text for item in claims for text in _broken(item, requests, {})]
    else:
        for container in _containers(obj):
            _fill_in(container, [item for item in limits if item.get("type") == "Container"])
        obj.setdefault("status", {})["qosClass"] = qos_class(obj["spec"])
        broken = [text for item in limits for text in _broken_by_pod(item, obj)]
    if broken:
        text = broken[0] if len(broken) == 1 else f"[{', '.join(broken)}]"
        raise refusals.forbidden(call.resource, obj["metadata"].get("name", ""), text)


def _containers(pod: Obj) -> Iterator[dict[str, Any]]:
    yield from pod["spec"].get("containers") or ()
    yield from pod["spec"].get("initContainers") or ()


def _fill_in(container: dict[str, Any], limits: list[dict[str, Any]]) -> None:
    resources = container.setdefault("resources", {})
    for item in limits:
        for field, defaults in (("limits", item.get("default")), ("requests", item.get("defaultRequest"))):
            for name, amount in (defaults or {}).items():
                if name in (resources.get(field) or {}):
                    continue
                said_limit = (resources.get("limits") or {}).get(name)
                if field == "requests" and said_limit and item.get("default", {}).get(name) != said_limit:
                    amount = said_limit  # whoever names a limit asks for as much, unless they say otherwise
                resources.setdefault(field, {})[name] = amount


def _broken_by_pod(item: dict[str, Any], pod: Obj) -> list[str]:
    if item.get("type") == "Container":
        return [
            text
            for container in _containers(pod)
            for text in _broken(
                item,
                (container.get("resources") or {}).get("requests") or {},
                (container.get("resources") or {}).get("limits") or {},
            )
        ]
    if item.get("type") == "Pod":
        return _broken(item, _total(pod, "requests"), _total(pod, "limits"))
    return []


def _total(pod: Obj, part: str) -> dict[str, str]:
    total: dict[str, int] = {}
    for container in pod["spec"].get("containers") or ():
        for name, amount in ((container.get("resources") or {}).get(part) or {}).items():
            total[name] = total.get(name, 0) + parse_quantity(amount).nanos
    return {name: f"{nanos}n" for name, nanos in total.items()}


def _broken(item: dict[str, Any], requests: Amounts, limits: Amounts) -> list[str]:
    kind, broken = item.get("type", ""), []
    for name, bound in (item.get("min") or {}).items():
        if name not in requests:
            broken.append(f"minimum {name} usage per {kind} is {bound}.  No request is specified")
        elif parse_quantity(requests[name]) < parse_quantity(bound):
            broken.append(f"minimum {name} usage per {kind} is {bound}, but request is {requests[name]}")
    for name, bound in (item.get("max") or {}).items():
        told = limits if kind != "PersistentVolumeClaim" else requests
        word = "limit" if kind != "PersistentVolumeClaim" else "request"
        if name not in told:
            broken.append(f"maximum {name} usage per {kind} is {bound}.  No {word} is specified")
        elif parse_quantity(told[name]) > parse_quantity(bound):
            broken.append(f"maximum {name} usage per {kind} is {bound}, but {word} is {told[name]}")
    for name, ratio in (item.get("maxLimitRequestRatio") or {}).items():
        asked, limit = requests.get(name), limits.get(name)
        if not asked or not limit or not parse_quantity(asked).nanos:
            broken.append(f"{name} max limit to request ratio per {kind} is {ratio}, but no request or limit is given")
            continue
        found = parse_quantity(limit).nanos / parse_quantity(asked).nanos
        if found * 10**9 > parse_quantity(ratio).nanos:
            broken.append(f"{name} max limit to request ratio per {kind} is {ratio}, but provided ratio is {found:.6f}")
    return broken
