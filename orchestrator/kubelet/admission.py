"""Whether this node takes a pod that was bound to it. Pure.

Source: kubernetes pkg/kubelet/eviction/eviction_manager.go (Admit), pkg/kubelet/sysctl/allowlist.go.
"""

from __future__ import annotations

from collections.abc import Collection

from orchestrator.kubelet.sysctls import forbidden_sysctl
from orchestrator.objects.meta import Obj

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


def is_critical(pod: Obj) -> bool:
    return int(pod["spec"].get("priority") or 0) >= CRITICAL_PRIORITY


def is_best_effort(pod: Obj) -> bool:
    return ((pod.get("status") or {}).get("qosClass") or "BestEffort") == "BestEffort"
