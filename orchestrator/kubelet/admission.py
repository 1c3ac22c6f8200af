"""Whether this node takes a pod that was bound to it. Pure.

The scheduler has looked at what fits already; a pod that somebody else bound, by its `nodeName`, it never saw.

Source: kubernetes pkg/kubelet/eviction/eviction_manager.go (Admit), pkg/kubelet/sysctl/allowlist.go,
pkg/kubelet/lifecycle/predicate.go.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from orchestrator.kubelet.sysctls import forbidden_sysctl
from orchestrator.objects.meta import Obj
from orchestrator.scheduler.resources import host_ports, pod_requests, ports_clash

CRITICAL_PRIORITY = 2_000_000_000  # system-cluster-critical and above


def refusal_of(pod: Obj, pressures: Collection[str]) -> tuple[str, str] | None:
    """Reason and message of a pod that can't run here; `pressures` are the node's conditions that hold."""
    if problem := forbidden_sysctl(pod):
        return "SysctlForbidden", f"Pod was rejected: {problem}"
    if "DiskPressure" in pressures or ("MemoryPressure" in pressures and is_best_effort(pod)):
        if not is_critical(pod):
            listed = " ".join(sorted(pressures))
            return "Evicted", f"Pod was rejected: The node had condition: [{listed}]. "
    return None


def lack_of(pod: Obj, others: Sequence[Obj], allocatable: Mapping[str, int]) -> tuple[str, str] | None:
    """Reason and message of a pod that the node has no room for beside `others`.

    `allocatable` is as `scheduler.resources.amounts` counts; what it doesn't name is no matter of this node's.
    """
    wanted = {"pods": 1, **pod_requests(pod["spec"])}
    taken = [{"pods": 1, **pod_requests(other["spec"])} for other in others]
    for resource in sorted(allocatable, key=lambda name: name != "pods"):
        asked, used = wanted.get(resource, 0), sum(each.get(resource, 0) for each in taken)
        capacity = allocatable[resource]
        if asked and used + asked > capacity:
            return f"OutOf{resource}", (
                f"Pod was rejected: Node didn't have enough resource: {resource}, requested: {asked}, used: {used}, "
                f"capacity: {capacity}"
            )
    ports = host_ports(pod["spec"])
    if ports and any(ports_clash(ports, host_ports(other["spec"])) for other in others):
        return "NodePorts", (
            "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
        )
    return None


def is_critical(pod: Obj) -> bool:
    return int(pod["spec"].get("priority") or 0) >= CRITICAL_PRIORITY


def is_best_effort(pod: Obj) -> bool:
    return ((pod.get("status") or {}).get("qosClass") or "BestEffort") == "BestEffort"
