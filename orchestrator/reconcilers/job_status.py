"""What a Job reports. A pod's end is counted exactly once, whatever is killed in between: its uid is noted in
`uncountedTerminatedPods`, then its finalizer removed, then the count raised and the note dropped in one write.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orchestrator.machinery import pods as podlib
from orchestrator.machinery.clock import rfc3339
from orchestrator.objects.meta import Obj, uid_of
from orchestrator.reconcilers.job_plan import (
    JobView,
    Outcome,
    completed_indexes,
    failed_indexes,
    failure_action,
    format_indexes,
)

INTERIM = {"Complete": "SuccessCriteriaMet", "Failed": "FailureTarget"}


def is_over(job: Obj) -> bool:
    return any(
        (condition := podlib.condition_of(job, kind)) is not None and condition["status"] == "True" for kind in INTERIM
    )


def decided_outcome(job: Obj) -> Outcome | None:
    """The end that was written down before its pods were gone."""
    for kind, interim in INTERIM.items():
        condition = podlib.condition_of(job, interim)
        if condition is not None and condition["status"] == "True":
            return Outcome(kind, condition.get("reason", ""), condition.get("message", ""))
    return None


def observe_job(view: JobView, outcome: Outcome | None, now: datetime) -> dict[str, Any]:
    """The status with new ends noted, and with the end of the Job once nothing of it is left running."""
    stamp = rfc3339(now)
    status = _counts(view)
    conditions = _suspension(view, stamp)
    suspended = bool(view.spec.get("suspend"))
    start = view.status.get("startTime")
    if suspended and outcome is None:
        start = None
    elif not start or _was_resumed(view):
        start = stamp
    if start:
        status["startTime"] = start
    if outcome is not None:
        found = {"status": "True", "reason": outcome.reason, "message": outcome.message, "lastProbeTime": stamp}
        if podlib.condition_of(view.job, INTERIM[outcome.kind]) is None:
            conditions = podlib.set_condition(conditions, {"type": INTERIM[outcome.kind], **found}, stamp)
        if not view.live and not view.ending and not status.get("uncountedTerminatedPods"):
            conditions = podlib.set_condition(conditions, {"type": outcome.kind, **found}, stamp)
            status.pop("uncountedTerminatedPods", None)
            if outcome.kind == "Complete":
                status["completionTime"] = stamp
    if conditions:
        status["conditions"] = conditions
    return status


def _counts(view: JobView) -> dict[str, Any]:
    still_held = {uid_of(pod) for pod in view.noted}
    notes: dict[str, list[str]] = {}
    totals: dict[str, int] = {}
    for kind, new in (("succeeded", view.succeeded), ("failed", view.failed)):
        earlier = view.uncounted(kind)
        held = [uid for uid in earlier if uid in still_held]
        totals[kind] = int(view.status.get(kind) or 0) + len(earlier) - len(held)
        fresh = [uid_of(pod) for pod in new if kind == "succeeded" or failure_action(view, pod)[0] != "Ignore"]
        if kind == "succeeded" and view.is_indexed:
            fresh = []
        if held or fresh:
            notes[kind] = [*held, *fresh]
    status: dict[str, Any] = {}
    if view.live:
        status["active"] = len(view.live)
    status["ready"] = sum(map(podlib.is_ready, view.live))
    status["terminating"] = len(view.ending)
    if view.is_indexed:
        complete, given_up = completed_indexes(view), failed_indexes(view)
        totals["succeeded"] = len(complete)
        if complete:
            status["completedIndexes"] = format_indexes(complete)
        if view.spec.get("backoffLimitPerIndex") is not None:
            status["failedIndexes"] = format_indexes(given_up)
    status.update({kind: total for kind, total in totals.items() if total})
    status["uncountedTerminatedPods"] = notes
    return status


def _suspension(view: JobView, stamp: str) -> list[dict[str, Any]]:
    conditions = [dict(one) for one in view.status.get("conditions") or ()]
    if view.spec.get("suspend"):
        wanted = {"type": "Suspended", "status": "True", "reason": "JobSuspended", "message": "Job suspended"}
    elif podlib.condition_of(view.job, "Suspended") is not None:
        wanted = {"type": "Suspended", "status": "False", "reason": "JobResumed", "message": "Job resumed"}
    else:
        return conditions
    return podlib.set_condition(conditions, wanted, stamp)


def _was_resumed(view: JobView) -> bool:
    told = podlib.condition_of(view.job, "Suspended")
    return told is not None and told["status"] == "True" and not view.spec.get("suspend")
