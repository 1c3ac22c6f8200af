"""What a CronJob should do now: pure functions of it, its Jobs and the time.

Source: kubernetes pkg/controller/cronjob/{cronjob_controllerv2,utils}.go.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.machinery import pods as podlib
from orchestrator.machinery.clock import parse_time, rfc3339
from orchestrator.objects.cron import Schedule
from orchestrator.objects.meta import Obj, is_deleting, owner_reference, uid_of

TOO_MANY_MISSED = 100
SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
DEADLINE_STEP = 0.1  # seconds after a scheduled time that we look, so that it is certainly past


@dataclass
class Plan:
    start: datetime | None = None
    """The scheduled time for which a Job is due."""
    delete: list[Obj] = field(default_factory=list)
    """Jobs that a new one replaces."""
    wait: float | None = None
    warnings: list[tuple[str, str]] = field(default_factory=list)
    """(reason, message)"""


def is_finished(job: Obj) -> str:
    """`Complete`, `Failed`, or empty while it runs."""
    for kind in ("Complete", "Failed"):
        condition = podlib.condition_of(job, kind)
        if condition is not None and condition["status"] == "True":
            return kind
    return ""


def missed_times(cronjob: Obj, schedule: Schedule, now: datetime) -> tuple[datetime | None, int]:
    """(the latest scheduled time that has passed unserved, how many there were, capped)."""
    last = (cronjob.get("status") or {}).get("lastScheduleTime") or podlib.created_at(cronjob)
    earliest = parse_time(last)
    deadline = cronjob["spec"].get("startingDeadlineSeconds")
    if deadline is not None:
        earliest = max(earliest, now - timedelta(seconds=int(deadline)))
    latest, count = None, 0
    moment = schedule.after(earliest)
    while moment is not None and moment <= now:
        latest, count = moment, count + 1
        if count > TOO_MANY_MISSED:
            return _latest_before(schedule, now), count
        moment = schedule.after(moment)
    return latest, count


def _latest_before(schedule: Schedule, now: datetime) -> datetime | None:
    """The last time that is not after `now`, found by looking back ever further."""
    for hours in (1, 24, 24 * 31, 24 * 366):
        moment = schedule.after(now - timedelta(hours=hours))
        latest = None
        while moment is not None and moment <= now:
            latest, moment = moment, schedule.after(moment)
        if latest is not None:
            return latest
    return None


def plan_cronjob(cronjob: Obj, jobs: Sequence[Obj], schedule: Schedule, now: datetime) -> Plan:
    spec = cronjob["spec"]
    if spec.get("suspend") or is_deleting(cronjob):
        return Plan()
    plan = Plan()
    following = schedule.after(now)
    plan.wait = (following - now).total_seconds() + DEADLINE_STEP if following else None
    due, missed = missed_times(cronjob, schedule, now)
    if missed > TOO_MANY_MISSED:
        plan.warnings.append((
            "TooManyMissedTimes",
            "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew",
        ))  # fmt: skip
    if due is None:
        return plan
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None and due + timedelta(seconds=int(deadline)) < now:
        plan.warnings.append(("MissSchedule", f"Missed scheduled time to start a job: {rfc3339(due)}"))
        return plan
    name = job_name(cronjob, due)
    if any(job["metadata"]["name"] == name for job in jobs):
        return plan
    running = [job for job in jobs if not is_finished(job) and not is_deleting(job)]
    policy = spec.get("concurrencyPolicy") or "Allow"
    if policy == "Forbid" and running:
        plan.warnings.append((
            "JobAlreadyActive",
            "Not starting job because prior execution is running and concurrency policy is Forbid",
        ))  # fmt: skip
        return plan
    if policy == "Replace":
        plan.delete = running
    plan.start = due
    return plan


def plan_history(cronjob: Obj, jobs: Sequence[Obj]) -> list[Obj]:
    """Finished Jobs beyond the history limits, the oldest first."""
    surplus: list[Obj] = []
    for kind, limit, default in (
        ("Complete", "successfulJobsHistoryLimit", 3),
        ("Failed", "failedJobsHistoryLimit", 1),
    ):
        keep = cronjob["spec"].get(limit)
        keep = default if keep is None else int(keep)
        ended = [job for job in jobs if is_finished(job) == kind and not is_deleting(job)]
        ended.sort(key=lambda job: ((job.get("status") or {}).get("startTime") or "", job["metadata"]["name"]))
        surplus += ended[: max(0, len(ended) - keep)]
    return surplus


def job_name(cronjob: Obj, due: datetime) -> str:
    """Fixed by the time it is for, so that one time never makes two Jobs."""
    return f"{cronjob['metadata']['name']}-{int(due.timestamp()) // 60}"


def render_job(cronjob: Obj, due: datetime) -> Obj:
    template = cronjob["spec"]["jobTemplate"]
    wished = template.get("metadata") or {}
    zone = cronjob["spec"].get("timeZone")
    meta: dict[str, Any] = {
        "name": job_name(cronjob, due),
        "namespace": cronjob["metadata"]["namespace"],
        "labels": dict(wished.get("labels") or {}),
        "annotations": {**(wished.get("annotations") or {}), SCHEDULED_AT: _in_zone(due, zone)},
        "ownerReferences": [owner_reference(cronjob)],
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": copy.deepcopy(template["spec"])}


def _in_zone(due: datetime, zone: str | None) -> str:
    if not zone:
        return rfc3339(due)
    return due.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")


def observe_cronjob(cronjob: Obj, jobs: Sequence[Obj], last: datetime | None) -> dict[str, Any]:
    """`last`: the time just served, if one was."""
    old = cronjob.get("status") or {}
    status: dict[str, Any] = {}
    active = [job for job in jobs if not is_finished(job)]
    if active:
        active.sort(key=lambda job: job["metadata"]["name"])
        status["active"] = [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": job["metadata"]["name"],
                "namespace": job["metadata"]["namespace"],
                "uid": uid_of(job),
                "resourceVersion": job["metadata"].get("resourceVersion", ""),
            }
            for job in active
        ]
        known = {one["uid"]: one for one in old.get("active") or ()}
        status["active"] = [known.get(one["uid"], one) for one in status["active"]]
    if last is not None:
        status["lastScheduleTime"] = rfc3339(last)
    elif old.get("lastScheduleTime"):
        status["lastScheduleTime"] = old["lastScheduleTime"]
    ends = [job["status"]["completionTime"] for job in jobs if (job.get("status") or {}).get("completionTime")]
    if old.get("lastSuccessfulTime"):
        ends.append(old["lastSuccessfulTime"])
    if ends:
        status["lastSuccessfulTime"] = max(ends)
    return status
