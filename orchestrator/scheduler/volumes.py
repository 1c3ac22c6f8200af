"""What a pod's claims say about where it may run. Source: kubernetes pkg/scheduler/framework/plugins/volumebinding."""

from __future__ import annotations

from orchestrator.machinery.informer import Informer
from orchestrator.objects.meta import Key, Obj, annotations_of, is_deleting
from orchestrator.scheduler.affinity import matches_node_terms
from orchestrator.scheduler.snapshot import NodeInfo, PodInfo

SELECTED_NODE = "volume.kubernetes.io/selected-node"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
CONFLICT = "node(s) had volume node affinity conflict"
NOT_FOUND = "node(s) didn't find available persistent volumes to bind"


class Volumes:
    def __init__(self, claims: Informer, volumes: Informer, classes: Informer) -> None:
        self.claims, self.volumes, self.classes = claims, volumes, classes

    def problem(self, pod: PodInfo) -> str | None:
        """Why no node at all can take the pod."""
        for name in pod.claims:
            claim = self.claims.get(Key(pod.key.namespace, name))
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            if is_deleting(claim):
                return f'persistentvolumeclaim "{name}" is being deleted'
            if not is_bound(claim) and not self.waits_for_pod(claim):
                return "pod has unbound immediate PersistentVolumeClaims"
        return None

    def reason(self, pod: PodInfo, node: NodeInfo) -> str | None:
        """Why this node can't."""
        for name in pod.claims:
            claim = self.claims.get(Key(pod.key.namespace, name))
            if claim is None:
                continue
            if is_bound(claim):
                volume = self.volumes.get(Key("", claim["spec"]["volumeName"]))
                if volume is not None and not volume_fits(volume, node.name, node.labels):
                    return CONFLICT
            else:
                chosen = annotations_of(claim).get(SELECTED_NODE)
                if chosen and chosen != node.name:
                    return CONFLICT
                if not self._can_be_made(claim) and not self._has_match(claim, node):
                    return NOT_FOUND
        return None

    def unbound(self, pod: PodInfo) -> list[Obj]:
        """The claims that wait for the pod's node."""
        found = [self.claims.get(Key(pod.key.namespace, name)) for name in pod.claims]
        return [claim for claim in found if claim is not None and not is_bound(claim)]

    def class_of(self, claim: Obj) -> Obj | None:
        name = claim["spec"].get("storageClassName")
        return self.classes.get(Key("", name)) if name else None

    def waits_for_pod(self, claim: Obj) -> bool:
        found = self.class_of(claim)
        return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"

    def _can_be_made(self, claim: Obj) -> bool:
        found = self.class_of(claim)
        return found is not None and found.get("provisioner") != NO_PROVISIONER

    def _has_match(self, claim: Obj, node: NodeInfo) -> bool:
        wanted = claim["spec"].get("storageClassName")
        return any(
            volume["spec"].get("storageClassName") == wanted
            and (volume.get("status") or {}).get("phase") == "Available"
            and volume_fits(volume, node.name, node.labels)
            for volume in self.volumes
        )


def is_bound(claim: Obj) -> bool:
    return bool(claim["spec"].get("volumeName")) and (claim.get("status") or {}).get("phase") == "Bound"


def volume_fits(volume: Obj, name: str, labels: object) -> bool:
    required = (volume["spec"].get("nodeAffinity") or {}).get("required")
    if not required:
        return True
    return matches_node_terms(required.get("nodeSelectorTerms") or (), name, labels)  # type: ignore[arg-type]
