"""What a StatefulSet should do next: pure functions of the set, its pods and its revisions.

Source: kubernetes pkg/controller/statefulset/{stateful_set_control,stateful_set_utils}.go.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.machinery import pods as podlib
from orchestrator.objects.meta import Obj, is_deleting, labels_of, owner_reference
from orchestrator.reconcilers.deployment_plan import int_or_percent
from orchestrator.reconcilers.history import HASH

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"


@dataclass
class Plan:
    create: list[tuple[int, str]] = field(default_factory=list)
    """(ordinal, name of the revision it is made from)"""
    delete: list[Obj] = field(default_factory=list)


def ordinal_of(statefulset: Obj, pod: Obj) -> int | None:
    parent, _, number = str(pod["metadata"]["name"]).rpartition("-")
    return int(number) if parent == statefulset["metadata"]["name"] and number.isdigit() else None


def replicas_of(statefulset: Obj) -> int:
    replicas = statefulset["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def start_of(statefulset: Obj) -> int:
    return int((statefulset["spec"].get("ordinals") or {}).get("start") or 0)


def partition_of(statefulset: Obj) -> int:
    rolling = (statefulset["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    return int(rolling.get("partition") or 0)


def most_unavailable(statefulset: Obj) -> int | None:
    """How many pods an update may take at once; None, where nothing is said, takes one after the other."""
    rolling = (statefulset["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    if (limit := rolling.get("maxUnavailable")) is None:
        return None
    return max(1, int_or_percent(limit, replicas_of(statefulset), default=1, up=False))


def rolls(statefulset: Obj) -> bool:
    return ((statefulset["spec"].get("updateStrategy") or {}).get("type") or "RollingUpdate") == "RollingUpdate"


def revision_for(statefulset: Obj, ordinal: int, current: str, update: str) -> str:
    """Pods below the partition keep the revision the set came from."""
    if rolls(statefulset) and ordinal < start_of(statefulset) + partition_of(statefulset):
        return current
    return update


def plan_statefulset(statefulset: Obj, pods: Sequence[Obj], current: str, update: str, now: datetime) -> Plan:
    """`current` and `update` are names of revisions."""
    ordered = (statefulset["spec"].get("podManagementPolicy") or "OrderedReady") == "OrderedReady"
    start, count = start_of(statefulset), replicas_of(statefulset)
    wanted: dict[int, Obj | None] = dict.fromkeys(range(start, start + count))
    surplus: list[tuple[int, Obj]] = []
    for pod in pods:
        ordinal = ordinal_of(statefulset, pod)
        if ordinal is None:
            continue
        if ordinal in wanted:
            wanted[ordinal] = pod
        else:
            surplus.append((ordinal, pod))
    plan = Plan()
    if not _fill(plan, statefulset, wanted, current, update, ordered, now):
        return plan
    surplus.sort(key=lambda one: one[0], reverse=True)
    if not _shrink(plan, wanted, [pod for _, pod in surplus], ordered):
        return plan
    if rolls(statefulset):
        _roll(plan, statefulset, wanted, update, now)
    return plan


def _fill(
    plan: Plan, statefulset: Obj, wanted: dict[int, Obj | None], current: str, update: str, ordered: bool, now: datetime
) -> bool:
    """Make what is missing, in order; whether all is there and, where order counts, available."""
    complete = True
    for ordinal, pod in wanted.items():
        if pod is None:
            plan.create.append((ordinal, revision_for(statefulset, ordinal, current, update)))
        elif podlib.is_finished(pod) and not is_deleting(pod):
            plan.delete.append(pod)
        elif ordered and (is_deleting(pod) or not _is_available(statefulset, pod, now)):
            return False
        else:
            continue
        complete = False
        if ordered:
            return False
    return complete or not ordered


def _shrink(plan: Plan, wanted: dict[int, Obj | None], surplus: list[Obj], ordered: bool) -> bool:
    """Delete what is too much, the highest first; whether nothing is."""
    unhealthy = [pod for pod in (*wanted.values(), *reversed(surplus)) if pod and not _is_healthy(pod)]
    for pod in surplus:
        if is_deleting(pod):
            if ordered:
                return False
            continue
        if ordered and not podlib.is_ready(pod) and unhealthy and pod is not unhealthy[0]:
            return False
        plan.delete.append(pod)
        if ordered:
            return False
    return not surplus or not ordered


def _roll(plan: Plan, statefulset: Obj, wanted: dict[int, Obj | None], update: str, now: datetime) -> None:
    """Replace old pods, the highest first: one, once all above it are healthy, or as many as may be missing."""
    lowest = start_of(statefulset) + partition_of(statefulset)
    if plan.create or plan.delete:
        return
    if (limit := most_unavailable(statefulset)) is not None:
        serving = sum(
            pod is not None and not is_deleting(pod) and _is_available(statefulset, pod, now) for pod in wanted.values()
        )
        old = [
            pod
            for ordinal, pod in sorted(wanted.items(), reverse=True)
            if ordinal >= lowest and pod and revision_of_pod(pod) != update and not is_deleting(pod)
        ]
        plan.delete += old[: max(0, limit - (len(wanted) - serving))]
        return
    for ordinal in sorted(wanted, reverse=True):
        pod = wanted[ordinal]
        if ordinal < lowest or pod is None:
            return
        if revision_of_pod(pod) != update and not is_deleting(pod):
            plan.delete.append(pod)
            return
        if not _is_available(statefulset, pod, now) or is_deleting(pod):
            return


def revision_of_pod(pod: Obj) -> str:
    return labels_of(pod).get(HASH, "")


def _is_healthy(pod: Obj) -> bool:
    return podlib.is_ready(pod) and not is_deleting(pod)


def _is_available(statefulset: Obj, pod: Obj, now: datetime) -> bool:
    return podlib.is_available(pod, statefulset["spec"].get("minReadySeconds") or 0, now)


# what it makes


def claim_name(template: Obj, statefulset: Obj, ordinal: int) -> str:
    return f"{template['metadata']['name']}-{statefulset['metadata']['name']}-{ordinal}"


def render_pod(statefulset: Obj, revision_template: Obj, ordinal: int, revision: str) -> Obj:
    meta, spec = statefulset["metadata"], statefulset["spec"]
    name = f"{meta['name']}-{ordinal}"
    labels = {POD_NAME: name, POD_INDEX: str(ordinal), HASH: revision}
    pod = podlib.pod_from_template(revision_template, statefulset, name=name, labels=labels)
    pod["spec"]["hostname"] = name
    if spec.get("serviceName"):
        pod["spec"]["subdomain"] = spec["serviceName"]
    claims = {one["metadata"]["name"]: one for one in spec.get("volumeClaimTemplates") or ()}
    volumes = [one for one in pod["spec"].get("volumes") or () if one["name"] not in claims]
    for volume, template in claims.items():
        claim = claim_name(template, statefulset, ordinal)
        volumes.append({"name": volume, "persistentVolumeClaim": {"claimName": claim}})
    if volumes:
        pod["spec"]["volumes"] = volumes
    return pod


def render_claims(statefulset: Obj, ordinal: int) -> list[Obj]:
    meta = statefulset["metadata"]
    rendered = []
    for template in statefulset["spec"].get("volumeClaimTemplates") or ():
        claim = copy.deepcopy(template)
        claim.pop("status", None)
        labels = {**(template["metadata"].get("labels") or {}),
                  **((statefulset["spec"].get("selector") or {}).get("matchLabels") or {})}  # fmt: skip
        claim.update(apiVersion="v1", kind="PersistentVolumeClaim")
        claim["metadata"] = {
            **claim["metadata"],
            "name": claim_name(template, statefulset, ordinal),
            "namespace": meta["namespace"],
            "labels": labels,
        }
        rendered.append(claim)
    return rendered


def claim_owners(statefulset: Obj, pod: Obj | None, ordinal: int) -> list[dict[str, Any]]:
    """Who takes the claim along: the set when it is deleted, the pod when it is scaled away, or nobody."""
    policy = statefulset["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    count, start = replicas_of(statefulset), start_of(statefulset)
    if policy.get("whenScaled") == "Delete" and not start <= ordinal < start + count and pod is not None:
        return [{**owner_reference(pod, controller=False), "blockOwnerDeletion": False}]
    if policy.get("whenDeleted") == "Delete":
        return [{**owner_reference(statefulset), "blockOwnerDeletion": False}]
    return []


def observe_statefulset(
    statefulset: Obj, pods: Iterable[Obj], current: str, update: str, collisions: int | None, now: datetime
) -> dict[str, Any]:
    """`current` and `update` are names of revisions; pods carry their hashes."""
    old = statefulset.get("status") or {}
    counted = [pod for pod in pods if ordinal_of(statefulset, pod) is not None and not podlib.is_finished(pod)]
    live = [pod for pod in counted if not is_deleting(pod)]
    ready = sum(map(podlib.is_ready, counted))
    updated = sum(_has(pod, update) for pod in live)
    of_current = sum(_has(pod, current) for pod in live)
    wanted = replicas_of(statefulset)
    done = rolls(statefulset) and partition_of(statefulset) == 0
    if done and updated == wanted == len(counted) and ready == wanted and current != update:
        current, of_current = update, updated
    status: dict[str, Any] = {
        "replicas": len(counted),
        "availableReplicas": sum(_is_available(statefulset, pod, now) for pod in live),
        "observedGeneration": statefulset["metadata"].get("generation") or 0,
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": collisions or 0,
    }
    optional = {"readyReplicas": ready, "currentReplicas": of_current, "updatedReplicas": updated}
    status.update({name: count for name, count in optional.items() if count})
    if old.get("conditions"):
        status["conditions"] = old["conditions"]
    return status


def _has(pod: Obj, revision: str) -> bool:
    return labels_of(pod).get(HASH) == revision
