"""Jobs: pods that run to their end. What to do is in `job_plan`, what to report in `job_status`, both pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from orchestrator.errors import ApiError, NotFound
from orchestrator.machinery.reconciler import Reconciler, gather_or_first_error, in_growing_batches, index_by_controller
from orchestrator.objects.kinds import JOBS, PODS
from orchestrator.objects.meta import Key, Obj, controller_of, is_deleting, key_of, uid_of
from orchestrator.objects.selectors import label_selector_from_object
from orchestrator.reconcilers.job_plan import (
    TRACKING,
    JobView,
    Outcome,
    PodPlan,
    index_failure_count,
    outcome_of,
    plan_pods,
    render_pod,
    seconds_to_deadline,
    view_of,
)
from orchestrator.reconcilers.job_status import decided_outcome, is_over, observe_job
from orchestrator.reconcilers.ownership import claim_objects

COMPONENT = "job-controller"
OURS = "kubernetes.io/job-controller"


class JobReconciler(Reconciler):
    name = "job"

    def setup(self) -> None:
        self.jobs = self.follow(JOBS)
        self.pods = self.follow_owned(PODS, "Job")
        index_by_controller(self.pods)

    async def reconcile(self, key: Key) -> float | None:
        job = self.jobs.get(key)
        if job is None:
            await self._release_strays(key)
            return None
        if (job["spec"].get("managedBy") or OURS) != OURS:
            return None
        own = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid_of(job)}}
        selector = label_selector_from_object(job["spec"].get("selector") or own)
        pods = await claim_objects(self.api, JOBS, job, selector, PODS, self.pods)
        if is_over(job) or is_deleting(job):
            await self._release(pods)
            return None
        view = view_of(job, pods)
        outcome = decided_outcome(job) or outcome_of(view, self.clock.now())
        job = await self._report(view, outcome)
        await self._release([*view.succeeded, *view.failed, *view.noted])
        if outcome is not None:
            await self._stop(job, view.live, counted=outcome.kind == "Failed")
            return 0.0 if self._needs_another_look(job) else None
        return await self._run_pods(job, view)

    def _needs_another_look(self, job: Obj) -> bool:
        """Whether the last write left ends that can be counted now; otherwise an event will bring us back."""
        current = self.jobs.get(key_of(job))
        if current is None or is_over(current):
            return False
        view = view_of(current, self.pods.indexed("controller", uid_of(current)))
        return not view.live and not view.ending and not view.noted

    async def _run_pods(self, job: Obj, view: JobView) -> float | None:
        plan = plan_pods(view, self.clock.now())
        await self._stop(job, plan.delete, counted=False)
        await self._start(job, view, plan)
        waits = [wait for wait in (plan.wait, seconds_to_deadline(view_of(job, ()), self.clock.now())) if wait]
        return max(min(waits), 0.01) if waits else None

    async def _report(self, view: JobView, outcome: Outcome | None) -> Obj:
        status = observe_job(view, outcome, self.clock.now())
        before = view.job
        after = await self.api.update_status(JOBS, before, status)
        self._announce(before, after, outcome)
        return after

    def _announce(self, before: Obj, after: Obj, outcome: Outcome | None) -> None:
        if outcome is not None and is_over(after) and not is_over(before):
            if outcome.kind == "Complete":
                self.events.normal(after, "Completed", "Job completed", component=COMPONENT)
            else:
                self.events.warning(after, outcome.reason, outcome.message, component=COMPONENT)
        was, now = _suspended(before), _suspended(after)
        if was != now and (was or now):
            words = ("Suspended", "Job suspended") if now else ("Resumed", "Job resumed")
            self.events.normal(after, *words, component=COMPONENT)

    async def _start(self, job: Obj, view: JobView, plan: PodPlan) -> None:
        indexes: Sequence[int | None] = plan.indexes if view.is_indexed else [None] * plan.create
        calls = [partial(self._create_pod, job, view, index) for index in indexes]
        await in_growing_batches(calls)

    async def _create_pod(self, job: Obj, view: JobView, index: int | None) -> None:
        failures = index_failure_count(view, index) if index is not None else 0
        try:
            pod = await self.api.create(PODS, render_pod(job, index, failures))
        except ApiError as error:
            self.events.warning(job, "FailedCreate", f"Error creating: {error.message}", component=COMPONENT)
            raise
        self.events.normal(job, "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}", component=COMPONENT)

    async def _stop(self, job: Obj, pods: Sequence[Obj], *, counted: bool) -> None:
        """Delete pods; those that are not to count as failed are let go first."""
        if not counted:
            await self._release(pods)
        await gather_or_first_error(self._delete_pod(job, pod) for pod in pods)

    async def _delete_pod(self, job: Obj, pod: Obj) -> None:
        if await self.api.delete(PODS, pod):
            name = pod["metadata"]["name"]
            self.events.normal(job, "SuccessfulDelete", f"Deleted pod: {name}", component=COMPONENT)

    async def _release(self, pods: Sequence[Obj]) -> None:
        """Take our finalizer off: these pods are in the books, or will never be."""
        held = [pod for pod in pods if TRACKING in (pod["metadata"].get("finalizers") or ())]
        await gather_or_first_error(self._release_one(pod) for pod in held)

    async def _release_one(self, pod: Obj) -> None:
        key = key_of(pod)
        rest = [one for one in pod["metadata"]["finalizers"] if one != TRACKING]
        meta = {"finalizers": rest or None, "resourceVersion": pod["metadata"]["resourceVersion"]}
        try:
            await self.api.patch(PODS, key.name, key.namespace, patch={"metadata": meta})
        except NotFound:
            return

    async def _release_strays(self, key: Key) -> None:
        """Pods whose Job is gone must not be held back by it."""
        strays = [
            pod
            for pod in self.pods
            if key_of(pod).namespace == key.namespace
            and (owner := controller_of(pod)) is not None
            and owner["kind"] == "Job"
            and owner["name"] == key.name
        ]
        await self._release(strays)


def _suspended(job: Obj) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Suspended" and one.get("status") == "True" for one in conditions)
