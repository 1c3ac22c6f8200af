"""Finished Jobs go when their `ttlSecondsAfterFinished` has passed.

Source: kubernetes pkg/controller/ttlafterfinished.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.machinery import pods as podlib
from orchestrator.machinery.clock import parse_time
from orchestrator.machinery.reconciler import Reconciler
from orchestrator.objects.kinds import JOBS
from orchestrator.objects.meta import Key, Obj, is_deleting


def seconds_left(job: Obj, now: datetime) -> float | None:
    """None when the job stays."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None or is_deleting(job):
        return None
    for kind in ("Complete", "Failed"):
        condition = podlib.condition_of(job, kind)
        if condition is not None and condition["status"] == "True" and condition.get("lastTransitionTime"):
            end = parse_time(condition["lastTransitionTime"]) + timedelta(seconds=int(ttl))
            return max(0.0, (end - now).total_seconds())
    return None


class FinishedTtlReconciler(Reconciler):
    name = "finished-ttl"
    workers = 1

    def setup(self) -> None:
        self.jobs = self.follow(JOBS)

    async def reconcile(self, key: Key) -> float | None:
        job = self.jobs.get(key)
        left = seconds_left(job, self.clock.now()) if job else None
        if job is None or left is None:
            return None
        if left > 0:
            return left
        await self.api.delete(JOBS, job, propagation="Foreground")
        return None
