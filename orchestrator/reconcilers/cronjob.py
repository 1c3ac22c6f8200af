"""CronJobs: a Job at every time of a schedule."""

from __future__ import annotations

from datetime import datetime

from orchestrator.errors import AlreadyExists, ApiError, NotFound
from orchestrator.machinery.reconciler import Reconciler
from orchestrator.objects.cron import parse_schedule
from orchestrator.objects.kinds import CRONJOBS, JOBS
from orchestrator.objects.meta import Key, Obj, controller_of, key_of, uid_of
from orchestrator.reconcilers.cronjob_plan import (
    Plan,
    is_finished,
    observe_cronjob,
    plan_cronjob,
    plan_history,
    render_job,
)

COMPONENT = "cronjob-controller"


class CronJobReconciler(Reconciler):
    name = "cronjob"
    workers = 2

    def setup(self) -> None:
        self._told: dict[str, set[tuple[str, str]]] = {}
        self.cronjobs = self.follow(CRONJOBS)
        self.jobs = self.follow_owned(JOBS, "CronJob")
        self.jobs.add_handler(self._job_changed)

    def _job_changed(self, old: Obj | None, new: Obj | None) -> None:
        """Tell of an end once, when it happens."""
        if old is None or new is None or is_finished(old) or not (how := is_finished(new)):
            return
        owner = controller_of(new)
        cronjob = self.cronjobs.get(Key(key_of(new).namespace, owner["name"])) if owner else None
        if cronjob is not None:
            message = f"Saw completed job: {key_of(new).name}, condition: {how}"
            self.events.normal(cronjob, "SawCompletedJob", message, component=COMPONENT)

    async def reconcile(self, key: Key) -> float | None:
        cronjob = self.cronjobs.get(key)
        if cronjob is None:
            self._told.pop(str(key), None)
            return None
        try:
            schedule = parse_schedule(cronjob["spec"]["schedule"], cronjob["spec"].get("timeZone"))
        except ValueError as error:
            self._tell_once(cronjob, "UnparseableSchedule", f"unparseable schedule: {error}")
            return None
        jobs = self.jobs.indexed("controller", uid_of(cronjob))
        plan = plan_cronjob(cronjob, jobs, schedule, self.clock.now())
        for reason, message in plan.warnings:
            self._tell_once(cronjob, reason, message)
        started = await self._apply(cronjob, plan)
        for job in plan_history(cronjob, jobs):
            await self._delete(cronjob, job)
        jobs = self.jobs.indexed("controller", uid_of(cronjob))
        try:
            await self.api.update_status(CRONJOBS, cronjob, observe_cronjob(cronjob, jobs, started))
        except NotFound:
            return None
        return plan.wait

    def _tell_once(self, cronjob: Obj, reason: str, message: str) -> None:
        told = self._told.setdefault(str(key_of(cronjob)), set())
        if (reason, message) not in told:
            told.clear()
            told.add((reason, message))
            self.events.warning(cronjob, reason, message, component=COMPONENT)

    async def _apply(self, cronjob: Obj, plan: Plan) -> datetime | None:
        """The scheduled time that was served, if one was due."""
        for job in plan.delete:
            await self._delete(cronjob, job)
        if plan.start is None:
            return None
        job = render_job(cronjob, plan.start)
        name = job["metadata"]["name"]
        try:
            await self.api.create(JOBS, job)
        except AlreadyExists:
            return plan.start
        except ApiError as error:
            self.events.warning(cronjob, "FailedCreate", f"Error creating job: {error.message}", component=COMPONENT)
            raise
        self.events.normal(cronjob, "SuccessfulCreate", f"Created job {name}", component=COMPONENT)
        return plan.start

    async def _delete(self, cronjob: Obj, job: Obj) -> None:
        if await self.api.delete(JOBS, job, propagation="Background"):
            name = job["metadata"]["name"]
            self.events.normal(cronjob, "SuccessfulDelete", f"Deleted job {name}", component=COMPONENT)
