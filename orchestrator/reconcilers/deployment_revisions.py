"""The revisions of a Deployment: which ReplicaSet is the newest, what each is called and annotated with.

Source: kubernetes pkg/controller/deployment/util/deployment_util.go.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from orchestrator.machinery.pods import created_at, same_template, template_hash
from orchestrator.objects.meta import Obj, annotations_of, is_deleting, owner_reference
from orchestrator.reconcilers.deployment_plan import DESIRED, MAXIMUM, Limits, desired_of

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
HASH_LABEL = "pod-template-hash"
HISTORY_LIMIT = 2000  # characters of the revision-history annotation

_OWN = {REVISION, HISTORY, DESIRED, MAXIMUM, "kubectl.kubernetes.io/last-applied-configuration",
        "deprecated.deployment.rollback.to"}  # fmt: skip


def newest_set(deployment: Obj, sets: Sequence[Obj]) -> Obj | None:
    """The set whose template is the Deployment's; the oldest of several, so that all readers agree."""
    template = deployment["spec"]["template"]
    same = [one for one in sets if same_template(one["spec"]["template"], template)]
    return min(same, key=lambda one: (created_at(one), one["metadata"]["name"])) if same else None


def revision_of_set(obj: Obj) -> int:
    text = annotations_of(obj).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def next_revision(olds: Sequence[Obj]) -> int:
    return max((revision_of_set(old) for old in olds), default=0) + 1


def annotations_for(deployment: Obj, existing: dict[str, str], revision: int) -> dict[str, str]:
    """What the newest set's annotations become: the Deployment's own, its revision, and the revisions it had."""
    wanted = dict(existing)
    wanted.update({key: value for key, value in annotations_of(deployment).items() if key not in _OWN})
    had = existing.get(REVISION, "")
    if not had.isdigit() or int(had) < revision:
        wanted[REVISION] = str(revision)
        if had:
            history = [part for part in existing.get(HISTORY, "").split(",") if part]
            history.append(had)
            while len(",".join(history)) > HISTORY_LIMIT:
                history.pop(0)
            wanted[HISTORY] = ",".join(history)
    return wanted


def render_set(deployment: Obj, size: int, limits: Limits, revision: int) -> Obj:
    """The ReplicaSet for the Deployment's present template."""
    spec = deployment["spec"]
    name_hash = template_hash(spec["template"], (deployment.get("status") or {}).get("collisionCount"))
    template = copy.deepcopy(spec["template"])
    template.setdefault("metadata", {}).setdefault("labels", {})[HASH_LABEL] = name_hash
    selector = copy.deepcopy(spec["selector"])
    selector.setdefault("matchLabels", {})[HASH_LABEL] = name_hash
    meta = deployment["metadata"]
    rendered: dict[str, Any] = {
        "replicas": size,
        "selector": selector,
        "template": template,
    }
    if spec.get("minReadySeconds"):
        rendered["minReadySeconds"] = spec["minReadySeconds"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta['name']}-{name_hash}",
            "namespace": meta["namespace"],
            "labels": dict(template["metadata"]["labels"]),
            "annotations": annotations_for(deployment, sizing_annotations(limits), revision),
            "ownerReferences": [owner_reference(deployment)],
        },
        "spec": rendered,
    }


def sizing_annotations(limits: Limits) -> dict[str, str]:
    """Remembered on each set, for scaling in proportion later."""
    return {DESIRED: str(limits.desired), MAXIMUM: str(limits.most)}


def plan_cleanup(deployment: Obj, olds: Sequence[Obj], live: set[str]) -> list[Obj]:
    """Old sets beyond `revisionHistoryLimit` that own nothing any more; `live` are names of sets that have pods."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    limit = 10 if limit is None else int(limit)
    candidates = [old for old in olds if not is_deleting(old)]
    surplus = len(candidates) - limit
    if surplus <= 0:
        return []
    candidates.sort(key=lambda old: (revision_of_set(old), created_at(old)))
    return [
        old
        for old in candidates[:surplus]
        if not old["spec"].get("replicas") and old["metadata"]["name"] not in live and _is_observed(old)
    ]


def _is_observed(old: Obj) -> bool:
    status = old.get("status") or {}
    return not status.get("replicas") and (status.get("observedGeneration") or 0) >= (
        old["metadata"].get("generation") or 0
    )


def is_complete(deployment: Obj, status: dict[str, Any]) -> bool:
    desired = desired_of(deployment)
    return bool(
        status.get("updatedReplicas", 0) == desired
        and status.get("replicas", 0) == desired
        and status.get("availableReplicas", 0) == desired
        and status.get("observedGeneration", 0) >= (deployment["metadata"].get("generation") or 0)
    )
