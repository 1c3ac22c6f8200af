"""What a Deployment reports: counts, and the conditions that `kubectl rollout status` reads.

Source: kubernetes pkg/controller/deployment/{progress,sync}.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from orchestrator.machinery.clock import parse_time, rfc3339
from orchestrator.machinery.pods import condition_of, set_condition, without_condition
from orchestrator.objects.meta import Obj
from orchestrator.reconcilers.deployment_plan import SetView, limits_of
from orchestrator.reconcilers.deployment_revisions import is_complete

NO_DEADLINE = 2**31 - 1

Conditions = list[dict[str, Any]]


def observe_deployment(deployment: Obj, new: SetView | None, olds: Sequence[SetView], now: datetime) -> dict[str, Any]:
    """The whole status, conditions included."""
    old_status = deployment.get("status") or {}
    status = observe_counts(deployment, new, olds)
    conditions = _availability(old_status.get("conditions") or [], deployment, status, now)
    if not deployment["spec"].get("paused"):
        conditions = _progress(conditions, deployment, status, new, now)
        conditions = _replica_failure(conditions, new, olds, now)
    if conditions:
        status["conditions"] = conditions
    return status


def observe_counts(deployment: Obj, new: SetView | None, olds: Sequence[SetView]) -> dict[str, Any]:
    every = [*([new] if new else []), *olds]
    available = sum(view.available for view in every)
    total = sum(view.active for view in every)
    counts = {
        "replicas": total,
        "updatedReplicas": new.active if new else 0,
        "readyReplicas": sum(view.ready for view in every),
        "availableReplicas": available,
        "unavailableReplicas": max(0, max(total, sum(view.size for view in every)) - available),
    }
    status: dict[str, Any] = {"observedGeneration": deployment["metadata"].get("generation") or 0}
    status.update({name: count for name, count in counts.items() if count})
    collisions = (deployment.get("status") or {}).get("collisionCount")
    if collisions is not None:
        status["collisionCount"] = collisions
    return status


def _availability(conditions: Conditions, deployment: Obj, status: dict[str, Any], now: datetime) -> Conditions:
    enough = status.get("availableReplicas", 0) >= limits_of(deployment).least
    wanted = {
        "type": "Available",
        "status": "True" if enough else "False",
        "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        "message": f"Deployment {'has' if enough else 'does not have'} minimum availability.",
    }
    return set_condition(conditions, wanted, rfc3339(now), update_time=True)


def _progress(
    conditions: Conditions, deployment: Obj, status: dict[str, Any], new: SetView | None, now: datetime
) -> Conditions:
    current = next((condition for condition in conditions if condition.get("type") == "Progressing"), None)
    if not has_deadline(deployment):
        return without_condition(conditions, "Progressing")
    rolled_out = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if rolled_out and current is not None and current.get("reason") == "NewReplicaSetAvailable":
        return conditions
    what = f'ReplicaSet "{new.name}"' if new else f'Deployment "{deployment["metadata"]["name"]}"'
    stamp = rfc3339(now)
    if is_complete(deployment, status):
        return _progressing(conditions, "True", "NewReplicaSetAvailable", f"{what} has successfully progressed.", stamp)
    if has_progressed(deployment.get("status") or {}, status):
        moved = _progressing(conditions, "True", "ReplicaSetUpdated", f"{what} is progressing.", stamp)
        for condition in moved:
            if condition.get("type") == "Progressing":
                condition["lastUpdateTime"] = stamp
        return moved
    if is_timed_out(deployment, current, now):
        return _progressing(
            conditions, "False", "ProgressDeadlineExceeded", f"{what} has timed out progressing.", stamp
        )
    return conditions


def _progressing(conditions: Conditions, value: str, reason: str, message: str, stamp: str) -> Conditions:
    wanted = {"type": "Progressing", "status": value, "reason": reason, "message": message}
    return set_condition(conditions, wanted, stamp, update_time=True)


def noted_progress(deployment: Obj, reason: str, message: str, now: datetime, value: str = "True") -> dict[str, Any]:
    """The present status with a Progressing condition for something other than the counts."""
    status = dict(deployment.get("status") or {})
    status["conditions"] = _progressing(status.get("conditions") or [], value, reason, message, rfc3339(now))
    return status


def has_deadline(deployment: Obj) -> bool:
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    return deadline is not None and int(deadline) != NO_DEADLINE


def has_progressed(before: dict[str, Any], after: dict[str, Any]) -> bool:
    def outdated(status: dict[str, Any]) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    grew = any(
        after.get(count, 0) > before.get(count, 0)
        for count in ("updatedReplicas", "readyReplicas", "availableReplicas")
    )
    return grew or outdated(after) < outdated(before)


def is_timed_out(deployment: Obj, current: dict[str, Any] | None, now: datetime) -> bool:
    if current is None or current.get("reason") == "NewReplicaSetAvailable":
        return False
    if current.get("reason") == "ProgressDeadlineExceeded":
        return True
    left = seconds_to_deadline(deployment, current, now)
    return left is not None and left <= 0


def seconds_to_deadline(deployment: Obj, current: dict[str, Any] | None, now: datetime) -> float | None:
    """None when no deadline runs."""
    if current is None or not has_deadline(deployment):
        return None
    if current.get("reason") in ("NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused"):
        return None
    since = current.get("lastUpdateTime") or current.get("lastTransitionTime")
    if not since:
        return None
    deadline = float(deployment["spec"]["progressDeadlineSeconds"])
    return deadline - (now - parse_time(since)).total_seconds()


def _replica_failure(conditions: Conditions, new: SetView | None, olds: Sequence[SetView], now: datetime) -> Conditions:
    """The reason why a set can't make its pods, the newest set's first."""
    for view in [*([new] if new else []), *olds]:
        failure = condition_of(view.obj, "ReplicaFailure")
        if failure is not None and failure.get("status") == "True":
            wanted = {key: failure.get(key) for key in ("type", "status", "reason", "message")}
            return set_condition(conditions, wanted, rfc3339(now), update_time=True)
    return without_condition(conditions, "ReplicaFailure")


def pause_transition(deployment: Obj, now: datetime) -> dict[str, Any] | None:
    """The status that tells of a pause begun or ended; None when it is told already."""
    current = condition_of(deployment, "Progressing")
    if not has_deadline(deployment) or (current and current.get("reason") == "ProgressDeadlineExceeded"):
        return None
    paused, told = bool(deployment["spec"].get("paused")), bool(current and current["reason"] == "DeploymentPaused")
    if paused and not told:
        return noted_progress(deployment, "DeploymentPaused", "Deployment is paused", now, "Unknown")
    if told and not paused:
        return noted_progress(deployment, "DeploymentResumed", "Deployment is resumed", now, "Unknown")
    return None
