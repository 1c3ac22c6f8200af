"""What a pod asks of a node, in whole numbers: cpu in thousandths, the rest in units.

Source: kubernetes component-helpers resource/helpers.go, PodRequests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from orchestrator.objects.quantity import parse_quantity

DEFAULT_CPU, DEFAULT_MEMORY = 100, 200 * 1024 * 1024
"""What a container without a request counts as when nodes are compared: it will use something."""

Amounts = dict[str, int]


@lru_cache(maxsize=8192)
def amount(resource: str, quantity: str | int | float) -> int:
    nanos = parse_quantity(quantity).nanos
    unit = 10**6 if resource == "cpu" else 10**9
    return -(-nanos // unit)


def amounts(quantities: Mapping[str, Any] | None) -> Amounts:
    return {name: amount(name, quantity) for name, quantity in (quantities or {}).items()}


def pod_requests(spec: Mapping[str, Any]) -> Amounts:
    """The most the pod needs at any time: its containers and sidecars together, or one starting init container."""
    total: Amounts = {}
    for container in spec["containers"]:
        _add(total, container_requests(container))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        asked = container_requests(container)
        if container.get("restartPolicy") == "Always":
            _add(total, asked)
            _add(sidecars, asked)
            asked = sidecars
        else:
            asked = _sum(asked, sidecars)
        _most(peak, asked)
    _most(total, peak)
    if spec.get("overhead"):
        _add(total, amounts(spec["overhead"]))
    return total


def container_requests(container: Mapping[str, Any]) -> Amounts:
    """The requests; a limit without a request is one."""
    resources = container.get("resources") or {}
    return amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def scoring_requests(spec: Mapping[str, Any], requests: Mapping[str, int]) -> tuple[int, int]:
    """(cpu, memory) with a default for what isn't requested."""
    containers = len(spec["containers"])
    cpu = requests.get("cpu", 0) or DEFAULT_CPU * containers
    return cpu, requests.get("memory", 0) or DEFAULT_MEMORY * containers


def host_ports(spec: Mapping[str, Any]) -> tuple[tuple[str, str, int], ...]:
    """(address, protocol, port) of every host port."""
    found = []
    for container in _containers(spec):
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (port.get("containerPort") if spec.get("hostNetwork") else 0)
            if number:
                found.append((port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", int(number)))
    return tuple(found)


def ports_clash(wanted: Iterable[tuple[str, str, int]], taken: Iterable[tuple[str, str, int]]) -> bool:
    used = list(taken)
    for address, protocol, port in wanted:
        for other, other_protocol, other_port in used:
            if port == other_port and protocol == other_protocol:
                if address == other or "0.0.0.0" in (address, other):
                    return True
    return False


def _containers(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    return [*spec["containers"], *sidecars]


def _add(total: Amounts, more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> Amounts:
    total = dict(one)
    _add(total, other)
    return total


def _most(total: Amounts, other: Mapping[str, int]) -> None:
    for name, value in other.items():
        total[name] = max(total.get(name, 0), value)
