"""Filters: the reasons why a node cannot take a pod, in the words kubectl users know.

A filter is `(pod, node, topology) -> reason | None`. `Topology` holds what a filter must know of other nodes; it is
prepared once for each pod that needs it. Source: kubernetes pkg/scheduler/framework/plugins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from orchestrator.machinery.tolerations import tolerates, untolerated
from orchestrator.scheduler.affinity import NamespaceLabels, PodTerm, matches_node_terms, with_label_keys
from orchestrator.scheduler.resources import ports_clash
from orchestrator.scheduler.snapshot import NodeInfo, PodInfo

UNSCHEDULABLE = "node(s) were unschedulable"
AFFINITY = "node(s) didn't match Pod's node affinity/selector"
PORTS = "node(s) didn't have free ports for the requested pod ports"
TOO_MANY = "Too many pods"
POD_AFFINITY = "node(s) didn't match pod affinity rules"
POD_ANTI_AFFINITY = "node(s) didn't match pod anti-affinity rules"
REPELLED = "node(s) didn't satisfy existing pods anti-affinity rules"
SPREAD = "node(s) didn't match pod topology spread constraints"
SPREAD_LABEL = SPREAD + " (missing required label)"

_HARD = ("NoSchedule", "NoExecute")
_UNSCHEDULABLE_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}

HOPELESS = (UNSCHEDULABLE, AFFINITY, SPREAD_LABEL, "node(s) had untolerated taint", POD_AFFINITY, "node(s) had volume")
"""Reasons (by their beginning) that no pod's going away would change."""


def static_reason(pod: PodInfo, node: NodeInfo) -> str | None:
    """What only this pod's spec and this node decide: `spec.unschedulable`, taints, node selector and affinity."""
    if node.unschedulable and not any(tolerates(one, _UNSCHEDULABLE_TAINT) for one in pod.tolerations):
        return UNSCHEDULABLE
    if node.taints:
        taint = untolerated(node.taints, pod.tolerations, _HARD)
        if taint is not None:
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value') or ''}}}"
    if not matches_node(pod, node):
        return AFFINITY
    return None


def matches_node(pod: PodInfo, node: NodeInfo) -> bool:
    if pod.node_selector and not pod.node_selector.items() <= node.labels.items():
        return False
    return pod.node_terms is None or matches_node_terms(pod.node_terms, node.name, node.labels)


def fits(pod: PodInfo, node: NodeInfo) -> bool:
    """The short form of `resource_reasons`."""
    if len(node.pods) >= node.room_for_pods:
        return False
    allocatable, used = node.allocatable, node.used
    for name, asked in pod.requests.items():
        if asked and asked > allocatable.get(name, 0) - used.get(name, 0):
            return False
    return True


def resource_reasons(pod: PodInfo, node: NodeInfo) -> list[str]:
    reasons = [TOO_MANY] if len(node.pods) >= node.room_for_pods else []
    for name, asked in pod.requests.items():
        if asked and asked > node.allocatable.get(name, 0) - node.used.get(name, 0):
            reasons.append(f"Insufficient {name}")
    return reasons


class Topology:
    """Counts over all nodes that inter-pod affinity and topology spread need of one pod."""

    def __init__(self, pod: PodInfo, nodes: Iterable[NodeInfo], repelling: Iterable[PodInfo],
                 where: Callable[[str], NodeInfo | None], namespace_labels: NamespaceLabels) -> None:  # fmt: skip
        self.pod, self._namespace_labels = pod, namespace_labels
        nodes = list(nodes)
        self.near = [self._values_with(term, nodes) for term in pod.affinity]
        self.far = [self._values_with(term, nodes) for term in pod.anti_affinity]
        self.repelled = self._repelled(repelling, where)
        self.spread = [
            SpreadCount(pod, one, nodes) for one in pod.spread if one["whenUnsatisfiable"] == "DoNotSchedule"
        ]
        self.is_first = not any(self.near) and all(
            term.matches(pod.key.namespace, pod.labels, namespace_labels) for term in pod.affinity
        )

    def _values_with(self, term: PodTerm, nodes: list[NodeInfo]) -> set[str]:
        """The values of the term's topology key where a matching pod runs."""
        found: set[str] = set()
        for node in nodes:
            value = node.labels.get(term.topology_key)
            if value is None or value in found:
                continue
            for other in node.pods.values():
                if other.uid != self.pod.uid and term.matches(
                    other.key.namespace, other.labels, self._namespace_labels
                ):
                    found.add(value)
                    break
        return found

    def _repelled(self, repelling: Iterable[PodInfo], where: Callable[[str], NodeInfo | None]) -> set[tuple[str, str]]:
        """(topology key, value) of every place where a pod runs that wants none like this one near."""
        pairs: set[tuple[str, str]] = set()
        for other in repelling:
            node = where(other.uid)
            if node is None or other.uid == self.pod.uid:
                continue
            for term in other.anti_affinity:
                value = node.labels.get(term.topology_key)
                if value is not None and (term.topology_key, value) not in pairs:
                    if term.matches(self.pod.key.namespace, self.pod.labels, self._namespace_labels):
                        pairs.add((term.topology_key, value))
        return pairs

    def reason(self, node: NodeInfo) -> str | None:
        for count in self.spread:
            if (problem := count.reason(node)) is not None:
                return problem
        for key, value in self.repelled:
            if node.labels.get(key) == value:
                return REPELLED
        for term, values in zip(self.pod.anti_affinity, self.far, strict=True):
            if node.labels.get(term.topology_key) in values:
                return POD_ANTI_AFFINITY
        for term, values in zip(self.pod.affinity, self.near, strict=True):
            where = node.labels.get(term.topology_key)
            if where is None or (where not in values and not self.is_first):
                return POD_AFFINITY
        return None


class SpreadCount:
    """Matching pods for each value of one constraint's topology key."""

    def __init__(self, pod: PodInfo, constraint: dict[str, Any], nodes: list[NodeInfo]) -> None:
        self.key, self.max_skew = constraint["topologyKey"], int(constraint["maxSkew"])
        selector = with_label_keys(constraint, pod.labels)
        self.counts: dict[str, int] = {}
        for node in nodes:
            value = node.labels.get(self.key)
            if value is None or not _is_counted(pod, constraint, node):
                continue
            matching = sum(
                other.key.namespace == pod.key.namespace and other.uid != pod.uid and selector.matches(other.labels)
                for other in node.pods.values()
            )
            self.counts[value] = self.counts.get(value, 0) + matching
        self.self_match = int(selector.matches(pod.labels))
        domains = constraint.get("minDomains") or 1
        self.least = 0 if len(self.counts) < domains else min(self.counts.values(), default=0)

    def reason(self, node: NodeInfo) -> str | None:
        value = node.labels.get(self.key)
        if value is None:
            return SPREAD_LABEL
        if self.counts.get(value, 0) + self.self_match - self.least > self.max_skew:
            return SPREAD
        return None


def _is_counted(pod: PodInfo, constraint: dict[str, Any], node: NodeInfo) -> bool:
    if (constraint.get("nodeAffinityPolicy") or "Honor") == "Honor" and not matches_node(pod, node):
        return False
    if constraint.get("nodeTaintsPolicy") == "Honor":
        return untolerated(node.taints, pod.tolerations, _HARD) is None
    return True


def reasons(pod: PodInfo, node: NodeInfo, topology: Topology | None) -> list[str]:
    """Why `node` can't take `pod`: the first filter that refuses may name several reasons; none when it can."""
    return next((found for found in _stages(pod, node, topology) if found), [])


def _stages(pod: PodInfo, node: NodeInfo, topology: Topology | None) -> Iterator[list[str]]:
    if (static := static_reason(pod, node)) is not None:
        yield [static]
    if pod.ports and ports_clash(pod.ports, node.ports):
        yield [PORTS]
    yield resource_reasons(pod, node)
    if topology is not None and (problem := topology.reason(node)) is not None:
        yield [problem]


def is_hopeless(found: Iterable[str]) -> bool:
    """Whether preemption could not help on a node with these reasons."""
    return any(reason.startswith(HOPELESS) for reason in found)


def render_refusal(total: int, counts: dict[str, int]) -> str:
    """`0/3 nodes are available: 1 Insufficient memory, 2 node(s) were unschedulable.`"""
    if total == 0:
        return "no nodes available to schedule pods"
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in counts.items()))
    return f"0/{total} nodes are available: {listed}." if listed else f"0/{total} nodes are available."
