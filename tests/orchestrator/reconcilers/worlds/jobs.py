"""Worlds of the reconcilers of pods that end."""

from __future__ import annotations

from typing import Any

from orchestrator.machinery.clock import rfc3339
from orchestrator.objects.kinds import CRONJOBS, JOBS, PODS
from orchestrator.objects.meta import Obj
from orchestrator.reconcilers.cronjob import CronJobReconciler
from orchestrator.reconcilers.finished_ttl import FinishedTtlReconciler
from orchestrator.reconcilers.job import JobReconciler
from tests.orchestrator.reconcilers.crashes import Case, deleted, kubelets, later, once, patched
from tests.orchestrator.world import Plane, pod_template

STAMP = "2026-01-01T00:00:00Z"


def job(**spec: Any) -> Obj:
    template = pod_template(restartPolicy="Never")
    template["spec"]["nodeName"] = "n1"
    return {"metadata": {"name": "work", "namespace": "default"}, "spec": {"template": template, **spec}}


async def succeed(world: Plane, **labels: str) -> None:
    """Every pod with these labels that runs ends well."""
    await world.run_pods()
    for one in world.pods(**labels):
        if one["status"]["phase"] == "Running":
            await end(world, one, "Succeeded", 0)
    await world.run_pods()


async def fail_oldest(world: Plane) -> None:
    await end(world, next(one for one in world.api.peek(PODS) if one["status"]["phase"] == "Running"), "Failed", 1)


async def end(world: Plane, one: Obj, phase: str, code: int) -> None:
    state = {"terminated": {"exitCode": code, "finishedAt": rfc3339(world.clock.now())}}
    await world.set_pod(one, phase, ready=False, containerStatuses=[{"name": "main", "state": state}])


def cronjob(**spec: Any) -> Obj:
    jobs = {"spec": {"template": pod_template(restartPolicy="Never")}}
    meta = {"name": "tick", "namespace": "default", "uid": "u"}
    return {"metadata": meta, "spec": {"schedule": "* * * * *", "jobTemplate": jobs, **spec}}


async def jobs_end(world: Plane) -> None:
    """Whoever runs Jobs has run those there are."""
    await world.settle()
    for one in world.api.peek(JOBS):
        if not (one.get("status") or {}).get("conditions"):
            conditions = [
                {"type": kind, "status": "True", "lastTransitionTime": STAMP}
                for kind in ("SuccessCriteriaMet", "Complete")
            ]
            status = {"conditions": conditions, "startTime": STAMP, "completionTime": STAMP}
            await world.api.update(JOBS, {**one, "status": status}, subresource="status")
    await world.settle()


FINISHED = {
    **job(ttlSecondsAfterFinished=30),
    "status": {
        "startTime": STAMP,
        "completionTime": STAMP,
        "conditions": [
            {"type": kind, "status": "True", "lastTransitionTime": STAMP} for kind in ("SuccessCriteriaMet", "Complete")
        ],
    },
}

CASES = (
    Case(
        "two ends of three, two at a time",
        JobReconciler,
        [(JOBS, job(completions=3, parallelism=2))],
        [
            "update jobs/status work",
            "2 × create pods work-*",
            "4 × update jobs/status work",
            "patch pods work-*",
            "create pods work-*",
            "update jobs/status work",
            "patch pods work-*",
            "3 × update jobs/status work",
            "patch pods work-*",
            "update jobs/status work",
        ],
        [succeed, succeed],
    ),
    Case(
        "a failure is tried again, a second is too much",
        JobReconciler,
        [(JOBS, job(completions=2, parallelism=2, backoffLimit=1))],
        [
            "update jobs/status work",
            "2 × create pods work-*",
            "4 × update jobs/status work",
            "patch pods work-*",
            "update jobs/status work",
            "create pods work-*",
            "3 × update jobs/status work",
            "patch pods work-*",
            "delete pods work-*",
            "update jobs/status work",
            "patch pods work-*",
            "2 × update jobs/status work",
        ],
        [kubelets, once(fail_oldest), later(30), kubelets, once(fail_oldest), later(30), kubelets],
    ),
    Case(
        "each index once",
        JobReconciler,
        [(JOBS, job(completions=2, parallelism=2, completionMode="Indexed"))],
        [
            "update jobs/status work",
            "create pods work-0-*",
            "create pods work-1-*",
            "4 × update jobs/status work",
            "patch pods work-0-*",
            "update jobs/status work",
            "patch pods work-1-*",
        ],
        [succeed],
    ),
    Case(
        "suspended and resumed",
        JobReconciler,
        [(JOBS, job(completions=1))],
        [
            "update jobs/status work",
            "create pods work-*",
            "3 × update jobs/status work",
            "patch pods work-*",
            "delete pods work-*",
            "3 × update jobs/status work",
            "create pods work-*",
            "3 × update jobs/status work",
            "patch pods work-*",
            "update jobs/status work",
        ],
        [
            kubelets,
            patched(JOBS, "work", {"spec": {"suspend": True}}),
            kubelets,
            patched(JOBS, "work", {"spec": {"suspend": False}}),
            succeed,
        ],
    ),
    Case(
        "out of time",
        JobReconciler,
        [(JOBS, job(activeDeadlineSeconds=60))],
        [
            "update jobs/status work",
            "create pods work-*",
            "3 × update jobs/status work",
            "delete pods work-*",
            "update jobs/status work",
            "patch pods work-*",
            "2 × update jobs/status work",
        ],
        [kubelets, later(61), kubelets],
    ),
    Case(
        "deleted while its pods run: none is held back",
        JobReconciler,
        [(JOBS, job(completions=2, parallelism=2))],
        [
            "update jobs/status work",
            "2 × create pods work-*",
            "3 × update jobs/status work",
            "2 × patch pods work-*",
        ],
        [kubelets, deleted(JOBS, "work", "Background"), kubelets],
    ),
    Case(
        "a Job a minute, one of the past kept",
        CronJobReconciler,
        [(CRONJOBS, cronjob(successfulJobsHistoryLimit=1))],
        [
            "create jobs tick-29453761",
            "2 × update cronjobs/status tick",
            "create jobs tick-29453762",
            "update cronjobs/status tick",
            "delete jobs tick-29453761",
            "update cronjobs/status tick",
        ],
        [later(61), jobs_end, later(61), jobs_end],
    ),
    Case(
        "the one that still runs is replaced",
        CronJobReconciler,
        [(CRONJOBS, cronjob(concurrencyPolicy="Replace"))],
        [
            "create jobs tick-29453761",
            "update cronjobs/status tick",
            "delete jobs tick-29453761",
            "create jobs tick-29453762",
            "update cronjobs/status tick",
        ],
        [later(61), later(61)],
    ),
    Case(
        "gone when its time is up",
        FinishedTtlReconciler,
        [(JOBS, FINISHED)],
        [
            "delete jobs work",
        ],
        [later(31)],
    ),
)
