"""Choosing a node for a pod: filter, score, pick. Pure over the snapshot; nothing is written here."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestrator.scheduler import filters, scores
from orchestrator.scheduler.affinity import NamespaceLabels
from orchestrator.scheduler.filters import Topology
from orchestrator.scheduler.snapshot import NodeInfo, PodInfo, Snapshot
from orchestrator.scheduler.volumes import Volumes

ENOUGH = 100
"""Nodes that can take the pod, after which no more are looked at: on bigger clusters a good place soon beats the best
late. Kubernetes does the same (percentageOfNodesToScore), with the same least number."""


@dataclass
class Decision:
    node: str = ""
    problem: str = ""
    """What keeps the pod from every node alike."""
    refusals: dict[str, list[str]] = field(default_factory=dict)
    """Node name -> reasons; filled only when there is no node."""

    def message(self, total: int) -> str:
        if self.problem:
            return f"0/{total} nodes are available: {self.problem}."
        counts = Counter(reason for reasons in self.refusals.values() for reason in reasons)
        return filters.render_refusal(total, counts)


class Decider:
    def __init__(self, snapshot: Snapshot, namespace_labels: NamespaceLabels, volumes: Volumes | None = None) -> None:
        self.snapshot, self.namespace_labels, self.volumes = snapshot, namespace_labels, volumes
        self.nominated: dict[str, dict[str, PodInfo]] = {}
        """Node -> pods that have been promised the room of their victims there."""
        self._next = 0
        self._static: dict[str, dict[str, tuple[int, str | None]]] = {}

    def decide(self, pod: PodInfo) -> Decision:
        if pod.claims and self.volumes is not None and (problem := self.volumes.problem(pod)) is not None:
            return Decision(problem=problem)
        topology = self.topology(pod)
        candidates = self._candidates(pod, topology)
        if candidates:
            return Decision(node=self._best(pod, candidates).name)
        return Decision(refusals={node.name: self.reasons(pod, node, topology) for node in self.snapshot.order})

    def topology(self, pod: PodInfo) -> Topology | None:
        hard_spread = any(one["whenUnsatisfiable"] == "DoNotSchedule" for one in pod.spread)
        if not (pod.affinity or pod.anti_affinity or hard_spread or self.snapshot.repelling):
            return None
        snapshot = self.snapshot
        return Topology(
            pod,
            snapshot.order,
            snapshot.repelling.values(),
            lambda uid: snapshot.nodes.get(snapshot.where(uid)),
            self.namespace_labels,
        )

    def reasons(self, pod: PodInfo, node: NodeInfo, topology: Topology | None) -> list[str]:
        """Every filter's word on one node, the promised room of others included."""
        found = filters.reasons(pod, self._with_nominated(pod, node), topology)
        if not found and pod.claims and self.volumes is not None:
            problem = self.volumes.reason(pod, node)
            return [problem] if problem else []
        return found

    def _candidates(self, pod: PodInfo, topology: Topology | None) -> list[NodeInfo]:
        nodes = self.snapshot.order
        total, found = len(nodes), []
        static = self._static_cache(pod.static_signature)
        simple = not (pod.ports or topology or pod.claims or self.nominated)
        start = self._next % total if total else 0
        looked = 0
        for looked in range(1, total + 1):
            node = nodes[(start + looked - 1) % total]
            known = static.get(node.name)
            if known is None or known[0] != node.version:
                known = static[node.name] = (node.version, filters.static_reason(pod, node))
            if known[1] is not None or not filters.fits(pod, node):
                continue
            if simple or not self.reasons(pod, node, topology):
                found.append(node)
                if len(found) >= ENOUGH:
                    break
        self._next = (start + looked) % total if total else 0
        return found

    def _best(self, pod: PodInfo, candidates: Sequence[NodeInfo]) -> NodeInfo:
        if len(candidates) == 1:
            return candidates[0]
        extra = self._extra_scores(pod, candidates)
        best: list[NodeInfo] = []
        best_score = float("-inf")
        for node in candidates:
            score = scores.resources(pod, node) + scores.spreading(pod, node) + extra(node)
            if node.images:
                score += scores.images(pod, node)
            if score > best_score + 1e-9:
                best, best_score = [node], score
            elif score >= best_score - 1e-9:
                best.append(node)
        return best[zlib.crc32(pod.uid.encode()) % len(best)]

    def _extra_scores(self, pod: PodInfo, candidates: Sequence[NodeInfo]) -> Callable[[NodeInfo], float]:
        """The scores that most pods and clusters have no use for."""
        soft_spread = any(one["whenUnsatisfiable"] == "ScheduleAnyway" for one in pod.spread)
        parts: list[Callable[[NodeInfo], float]] = []
        if pod.preferred or soft_spread:
            parts.append(scores.neighbours(pod, candidates, self.snapshot.order, self.namespace_labels))
        if pod.preferred_nodes:
            parts.append(lambda node: scores.preferred_nodes(pod, node))
        if any(node.taints for node in candidates):
            parts.append(lambda node: scores.soft_taints(pod, node))
        if not parts:
            return lambda node: 0.0
        return lambda node: sum(part(node) for part in parts)

    def _static_cache(self, signature: str) -> dict[str, tuple[int, str | None]]:
        cache = self._static.get(signature)
        if cache is None:
            if len(self._static) > 64:
                self._static.clear()
            cache = self._static[signature] = {}
        return cache

    # room promised to pods that preempted

    def nominate(self, pod: PodInfo, node: str) -> None:
        self.drop_nomination(pod.uid)
        self.nominated.setdefault(node, {})[pod.uid] = pod

    def drop_nomination(self, uid: str) -> None:
        for node, pods in list(self.nominated.items()):
            if pods.pop(uid, None) is not None and not pods:
                del self.nominated[node]

    def _with_nominated(self, pod: PodInfo, node: NodeInfo) -> NodeInfo:
        promised = [
            other
            for other in self.nominated.get(node.name, {}).values()
            if other.uid != pod.uid and other.priority >= pod.priority
        ]
        if not promised:
            return node
        fuller = node.without(())
        for other in promised:
            if other.uid not in fuller.pods:
                fuller.add(other)
        return fuller
