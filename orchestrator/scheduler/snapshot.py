"""The cluster as the scheduler sees it: nodes with what is left on them, kept current pod by pod.

Deciding is synchronous, so nothing changes under it, and no copy has to be taken. A pod that was given a node but is
not bound yet is `assumed`: it counts, so that the next decision does not give the same room away.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.machinery.pods import is_finished
from orchestrator.objects.meta import Obj, controller_of, key_of, labels_of, uid_of
from orchestrator.scheduler.affinity import PodTerm, read_terms, read_weighted
from orchestrator.scheduler.resources import Amounts, amounts, host_ports, pod_requests, scoring_requests


class PodInfo:
    """A pod, read once."""

    __slots__ = (
        "obj", "uid", "key", "labels", "requests", "score_cpu", "score_memory", "ports", "priority", "tolerations",
        "node_selector", "node_terms", "preferred_nodes", "affinity", "anti_affinity", "preferred", "spread",
        "claims", "owner", "images", "static_signature", "preempts",
    )  # fmt: skip

    def __init__(self, obj: Obj) -> None:
        spec = obj["spec"]
        self.obj, self.uid, self.key, self.labels = obj, uid_of(obj), key_of(obj), labels_of(obj)
        self.requests = pod_requests(spec)
        self.score_cpu, self.score_memory = scoring_requests(spec, self.requests)
        self.ports = host_ports(spec)
        self.priority = int(spec.get("priority") or 0)
        self.tolerations = spec.get("tolerations") or ()
        self.node_selector: dict[str, str] = spec.get("nodeSelector") or {}
        affinity = spec.get("affinity") or {}
        by_node = affinity.get("nodeAffinity") or {}
        required = by_node.get("requiredDuringSchedulingIgnoredDuringExecution")
        self.node_terms: list[Any] | None = None if required is None else required.get("nodeSelectorTerms") or []
        self.preferred_nodes = by_node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        self._read_pod_affinity(affinity)
        self.spread = spec.get("topologySpreadConstraints") or ()
        self.claims = claims_of(obj)
        owner = controller_of(obj)
        self.owner = owner["uid"] if owner else ""
        self.images = tuple(one.get("image") or "" for one in spec["containers"])
        self.static_signature = self._signature(spec, by_node)
        self.preempts = spec.get("preemptionPolicy") != "Never"

    def _read_pod_affinity(self, affinity: Mapping[str, Any]) -> None:
        self.affinity: tuple[PodTerm, ...] = ()
        self.anti_affinity: tuple[PodTerm, ...] = ()
        self.preferred: tuple[PodTerm, ...] = ()
        if not affinity:
            return
        near, far = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
        required = "requiredDuringSchedulingIgnoredDuringExecution"
        preferred = "preferredDuringSchedulingIgnoredDuringExecution"
        self.affinity = read_terms(near.get(required), self.key.namespace, self.labels)
        self.anti_affinity = read_terms(far.get(required), self.key.namespace, self.labels)
        self.preferred = (
            *read_weighted(near.get(preferred), self.key.namespace, self.labels),
            *read_weighted(far.get(preferred), self.key.namespace, self.labels, -1),
        )

    def _signature(self, spec: Mapping[str, Any], by_node: Mapping[str, Any]) -> str:
        """Pods with the same one pass or fail the filters that look only at node and spec alike."""
        wanted = (spec.get("nodeSelector"), by_node, spec.get("tolerations"))
        return json.dumps(wanted, sort_keys=True) if any(wanted) else ""


def claims_of(pod: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the claims the pod mounts, those it makes itself (ephemeral) included."""
    names = []
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            names.append(volume["persistentVolumeClaim"]["claimName"])
        elif "ephemeral" in volume:
            names.append(f"{pod['metadata']['name']}-{volume['name']}")
    return tuple(names)


@dataclass
class NodeInfo:
    name: str
    obj: Obj | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, Any], ...] = ()
    unschedulable: bool = False
    allocatable: Amounts = field(default_factory=dict)
    used: Amounts = field(default_factory=dict)
    score_cpu: int = 0
    score_memory: int = 0
    pods: dict[str, PodInfo] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)
    ports: list[tuple[str, str, int]] = field(default_factory=list)
    images: dict[str, int] = field(default_factory=dict)
    version: int = 0
    """Moves when what the static filters read changes."""

    @property
    def room_for_pods(self) -> int:
        return self.allocatable.get("pods", 110)

    def set_object(self, obj: Obj) -> None:
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        self.obj, self.labels = obj, labels_of(obj)
        self.taints = tuple(spec.get("taints") or ())
        self.unschedulable = bool(spec.get("unschedulable"))
        self.allocatable = amounts(status.get("allocatable") or status.get("capacity"))
        self.images = {
            name: int(image.get("sizeBytes") or 0) for image in status.get("images") or () for name in image["names"]
        }

    def add(self, pod: PodInfo) -> None:
        self.pods[pod.uid] = pod
        self._count(pod, 1)
        self.ports.extend(pod.ports)

    def remove(self, uid: str) -> PodInfo | None:
        pod = self.pods.pop(uid, None)
        if pod is not None:
            self._count(pod, -1)
            for port in pod.ports:
                self.ports.remove(port)
        return pod

    def _count(self, pod: PodInfo, sign: int) -> None:
        for name, value in pod.requests.items():
            self.used[name] = self.used.get(name, 0) + sign * value
        self.score_cpu += sign * pod.score_cpu
        self.score_memory += sign * pod.score_memory
        if pod.owner:
            count = self.owners.get(pod.owner, 0) + sign
            if count:
                self.owners[pod.owner] = count
            else:
                self.owners.pop(pod.owner, None)

    def without(self, uids: Iterable[str]) -> NodeInfo:
        """A copy that these pods have left: for asking what if."""
        gone = set(uids)
        copy = NodeInfo(self.name, self.obj, self.labels, self.taints, self.unschedulable, self.allocatable)
        copy.images, copy.version = self.images, self.version
        for uid, pod in self.pods.items():
            if uid not in gone:
                copy.add(pod)
        return copy


class Snapshot:
    def __init__(self) -> None:
        self.nodes: dict[str, NodeInfo] = {}
        """Those that exist as objects."""
        self.repelling: dict[str, PodInfo] = {}
        """Placed pods with required anti-affinity, which concerns every newcomer."""
        self.assumed: dict[str, str] = {}
        self._placed: dict[str, str] = {}
        self._ghosts: dict[str, NodeInfo] = {}
        self._versions = 0
        self.changes = 0
        """Moves with every change: what was refused stays refused while this stands still."""
        self.order: list[NodeInfo] = []

    def where(self, uid: str) -> str:
        """The node the pod is placed on; empty when it is not."""
        return self._placed.get(uid, "")

    def node_changed(self, name: str, obj: Obj | None) -> bool:
        """Take in a node; whether what it offers has changed."""
        known = self.nodes.get(name)
        self.changes += 1
        if obj is None:
            if known is not None:
                del self.nodes[name]
                if known.pods:
                    self._ghosts[name] = known
                self.order = list(self.nodes.values())
            return known is not None
        if known is not None and known.obj is not None and _offer(known.obj) == _offer(obj):
            known.obj = obj
            return False
        node = known or self._ghosts.pop(name, None) or NodeInfo(name)
        node.set_object(obj)
        self._versions += 1
        node.version = self._versions
        if known is None:
            self.nodes[name] = node
            self.order = list(self.nodes.values())
        return True

    def pod_changed(self, obj: Obj) -> None:
        """Take in a pod that has a node."""
        uid, name = uid_of(obj), obj["spec"].get("nodeName") or ""
        if is_finished(obj):
            self.pod_gone(uid)
            return
        if not name:
            return
        self.assumed.pop(uid, None)
        placed = self._placed.get(uid)
        if placed == name:
            node = self._node(name)
            if node.pods[uid].labels == labels_of(obj):
                node.pods[uid].obj = obj
                return
        self._place(PodInfo(obj), name)

    def assume(self, pod: PodInfo, name: str) -> None:
        self._place(pod, name)
        self.assumed[pod.uid] = name

    def forget(self, uid: str) -> None:
        """The binding of an assumed pod failed."""
        if uid in self.assumed:
            self.pod_gone(uid)

    def pod_gone(self, uid: str) -> bool:
        """Whether it had a place."""
        self.assumed.pop(uid, None)
        self.repelling.pop(uid, None)
        name = self._placed.pop(uid, "")
        if not name:
            return False
        self.changes += 1
        node = self._node(name)
        node.remove(uid)
        if name in self._ghosts and not node.pods:
            del self._ghosts[name]
        return True

    def _place(self, pod: PodInfo, name: str) -> None:
        self.pod_gone(pod.uid)
        self.changes += 1
        self._node(name).add(pod)
        self._placed[pod.uid] = name
        if pod.anti_affinity:
            self.repelling[pod.uid] = pod

    def _node(self, name: str) -> NodeInfo:
        node = self.nodes.get(name)
        return node if node is not None else self._ghosts.setdefault(name, NodeInfo(name))


def _offer(obj: Obj) -> tuple[Any, ...]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    return (
        labels_of(obj), spec.get("taints"), spec.get("unschedulable"), status.get("allocatable"),
        status.get("capacity"), status.get("images"),
    )  # fmt: skip
