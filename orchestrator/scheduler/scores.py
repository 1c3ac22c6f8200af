"""Scores: how well a node that can take a pod suits it, each 0 to 1, and what each weighs.

Source: kubernetes pkg/scheduler/framework/plugins, default weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orchestrator.machinery.tolerations import tolerates
from orchestrator.scheduler.affinity import NamespaceLabels, matches_node_term, with_label_keys
from orchestrator.scheduler.snapshot import NodeInfo, PodInfo

LEAST_ALLOCATED = 1.0
BALANCED = 1.0
SPREAD = 2.0
IMAGE = 1.0
NODE_AFFINITY = 2.0
POD_AFFINITY = 2.0
TAINTS = 3.0

_SMALLEST_IMAGE, _LARGEST_IMAGE = 23 * 2**20, 1000 * 2**20  # bytes; below nothing is saved, above no more counts


def resources(pod: PodInfo, node: NodeInfo) -> float:
    """Emptier nodes first, and those whose cpu and memory fill evenly."""
    cpus, memory = node.allocatable.get("cpu", 0), node.allocatable.get("memory", 0)
    if not cpus or not memory:
        return 0.0
    cpu_share = min(1.0, (node.score_cpu + pod.score_cpu) / cpus)
    memory_share = min(1.0, (node.score_memory + pod.score_memory) / memory)
    least = 1.0 - (cpu_share + memory_share) / 2
    balanced = 1.0 - abs(cpu_share - memory_share) / 2
    return LEAST_ALLOCATED * least + BALANCED * balanced


def spreading(pod: PodInfo, node: NodeInfo) -> float:
    """Fewer pods of the same owner on the node first."""
    return SPREAD / (1 + node.owners.get(pod.owner, 0)) if pod.owner else 0.0


def images(pod: PodInfo, node: NodeInfo) -> float:
    if not node.images:
        return 0.0
    present = sum(node.images.get(image, 0) for image in pod.images)
    clamped = min(max(present, _SMALLEST_IMAGE), _LARGEST_IMAGE)
    return IMAGE * (clamped - _SMALLEST_IMAGE) / (_LARGEST_IMAGE - _SMALLEST_IMAGE)


def preferred_nodes(pod: PodInfo, node: NodeInfo) -> float:
    """The share of the preferred node terms' weight that the node has."""
    if not pod.preferred_nodes:
        return 0.0
    total = sum(one["weight"] for one in pod.preferred_nodes)
    held = sum(
        one["weight"] for one in pod.preferred_nodes if matches_node_term(one["preference"], node.name, node.labels)
    )
    return NODE_AFFINITY * held / total if total else 0.0


def soft_taints(pod: PodInfo, node: NodeInfo) -> float:
    if not node.taints:
        return TAINTS
    soft = [taint for taint in node.taints if taint.get("effect") == "PreferNoSchedule"]
    unloved = sum(not any(tolerates(one, taint) for one in pod.tolerations) for taint in soft)
    return TAINTS / (1 + unloved)


def neighbours(
    pod: PodInfo, candidates: Sequence[NodeInfo], nodes: Sequence[NodeInfo], namespace_labels: NamespaceLabels
) -> Callable[[NodeInfo], float]:
    """Preferred pod affinity and soft topology spread, counted over all nodes once."""
    points = _affinity_points(pod, nodes, namespace_labels)
    soft = [_soft_spread(pod, one, nodes) for one in pod.spread if one["whenUnsatisfiable"] == "ScheduleAnyway"]
    keys = {key for key, _ in points}
    sums = {node.name: sum(points.get((key, node.labels.get(key, "")), 0) for key in keys) for node in candidates}
    low, high = min(sums.values(), default=0), max(sums.values(), default=0)

    def score(node: NodeInfo) -> float:
        near = (sums.get(node.name, 0) - low) / (high - low) if high > low else 0.0
        even = sum(1 / (1 + counts.get(node.labels.get(key, ""), 0)) for key, counts in soft)
        return POD_AFFINITY * near + (SPREAD * even / len(soft) if soft else 0.0)

    return score


def _affinity_points(
    pod: PodInfo, nodes: Sequence[NodeInfo], namespace_labels: NamespaceLabels
) -> dict[tuple[str, str], int]:
    """What each (topology key, value) is worth to the pod, and to the pods there that prefer its like."""
    points: dict[tuple[str, str], int] = {}
    for node in nodes:
        for other in node.pods.values():
            for term in pod.preferred:
                value = node.labels.get(term.topology_key)
                if value is not None and term.matches(other.key.namespace, other.labels, namespace_labels):
                    points[term.topology_key, value] = points.get((term.topology_key, value), 0) + term.weight
            for term in other.preferred:
                value = node.labels.get(term.topology_key)
                if value is not None and term.matches(pod.key.namespace, pod.labels, namespace_labels):
                    points[term.topology_key, value] = points.get((term.topology_key, value), 0) + term.weight
    return points


def _soft_spread(pod: PodInfo, constraint: dict[str, Any], nodes: Sequence[NodeInfo]) -> tuple[str, dict[str, int]]:
    key, selector = constraint["topologyKey"], with_label_keys(constraint, pod.labels)
    counts: dict[str, int] = {}
    for node in nodes:
        value = node.labels.get(key)
        if value is not None:
            counts[value] = counts.get(value, 0) + sum(
                other.key.namespace == pod.key.namespace and selector.matches(other.labels)
                for other in node.pods.values()
            )
    return key, counts
