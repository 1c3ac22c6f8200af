"""Requests and limits of containers as the kernel takes them. Pure.

Source: kubernetes pkg/kubelet/cm/helpers_linux.go, pkg/api/v1/resource/helpers.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from orchestrator.kubelet.runtime import Resources
from orchestrator.objects.meta import Obj
from orchestrator.objects.quantity import millis, parse_quantity

PERIOD = 100_000  # microseconds over which a CPU quota counts
SMALLEST_QUOTA = 1_000
SMALLEST_MEMORY = 6 * 2**20  # the engine refuses less
PIDS = 4096  # processes and threads of one container; a fork bomb stops here


def render_resources(container: Mapping[str, Any]) -> Resources:
    asked = container.get("resources") or {}
    limits, requests = asked.get("limits") or {}, asked.get("requests") or {}
    cpu_limit = millis(limits["cpu"]) if "cpu" in limits else 0
    cpu_request = millis(requests["cpu"]) if "cpu" in requests else cpu_limit
    memory = bytes_of(limits["memory"]) if "memory" in limits else 0
    return Resources(
        cpu_shares=max(cpu_request * 1024 // 1000, 2),
        cpu_quota=max(cpu_limit * PERIOD // 1000, SMALLEST_QUOTA) if cpu_limit else 0,
        memory=max(memory, SMALLEST_MEMORY) if memory else 0,
        pids=PIDS,
    )


def bytes_of(quantity: str | int | float) -> int:
    return -(-parse_quantity(quantity).nanos // 10**9)


def oom_score_adj(pod: Obj, container: Mapping[str, Any], node_memory: int) -> int:
    """Who dies first when the node runs out: BestEffort, then Burstable by how little it asked for.

    Source: kubernetes pkg/kubelet/qos/policy.go; never below 0, which would need a capability many machines lack.
    """
    quality = (pod.get("status") or {}).get("qosClass") or "BestEffort"
    if quality == "Guaranteed":
        return 0
    if quality == "BestEffort":
        return 1000
    requests = (container.get("resources") or {}).get("requests") or {}
    asked = bytes_of(requests["memory"]) if "memory" in requests else 0
    return min(max(1000 - 1000 * asked // max(node_memory, 1), 3), 999)


def resource_value(pod: Obj, reference: Mapping[str, Any], own: Mapping[str, Any], *, cpus: int, memory: int) -> str:
    """A `resourceFieldRef`: a container's request or limit in units of its divisor, rounded up.

    A limit that isn't set is the node's whole capacity.
    """
    name = reference.get("containerName")
    every = [*(pod["spec"].get("containers") or ()), *(pod["spec"].get("initContainers") or ())]
    container = next((c for c in every if c["name"] == name), own) if name else own
    kind, _, resource = reference["resource"].partition(".")
    asked = ((container.get("resources") or {}).get(kind) or {}).get(resource)
    if asked is None:
        asked = {"cpu": cpus, "memory": memory}.get(resource, 0) if kind == "limits" else 0
    divisor = str(reference.get("divisor") or "1")
    divisor = "1" if divisor == "0" else divisor
    return str(ceil(parse_quantity(asked).nanos / parse_quantity(divisor).nanos))
