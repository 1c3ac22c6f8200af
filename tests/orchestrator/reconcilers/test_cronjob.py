from datetime import UTC, datetime

import pytest

from orchestrator.machinery.clock import FakeClock, rfc3339
from orchestrator.objects.kinds import CRONJOBS, JOBS
from orchestrator.reconcilers.cronjob import CronJobReconciler
from tests.orchestrator.world import plane, pod_template


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def cronjob(**spec):
    template = pod_template(restartPolicy="Never")
    return {
        "metadata": {"name": "tick", "namespace": "default"},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}, **spec},
    }


async def finish(world, job, kind="Complete"):
    now = rfc3339(world.clock.now())
    status = {"conditions": [{"type": kind, "status": "True"}], "startTime": now, "completionTime": now}
    await world.api.update(JOBS, {**job, "status": status}, subresource="status")


def jobs(world):
    return [one["metadata"]["name"] for one in world.api.peek(JOBS)]


async def test_a_job_is_made_at_each_time_and_old_ones_go():
    async with plane(CronJobReconciler) as world:
        await world.api.create(CRONJOBS, cronjob(successfulJobsHistoryLimit=2))
        await world.settle()
        for _ in range(4):
            await world.advance(60.2)
            for job in world.api.peek(JOBS):
                if not job.get("status"):
                    await finish(world, job)
            await world.settle()
        minute = int(world.clock.start.timestamp()) // 60
        assert jobs(world) == [f"tick-{minute + 3}", f"tick-{minute + 4}"]
        status = (await world.api.get(CRONJOBS, "tick", "default"))["status"]
        assert status["lastScheduleTime"] == "2026-01-01T00:04:00Z" and status["lastSuccessfulTime"]


@pytest.mark.parametrize("policy, expected", [("Allow", 2), ("Forbid", 1), ("Replace", 1)])
async def test_the_concurrency_policy_decides_about_a_second_job(policy, expected):
    async with plane(CronJobReconciler) as world:
        await world.api.create(CRONJOBS, cronjob(concurrencyPolicy=policy))
        await world.settle()
        await world.advance(121)
        assert len(jobs(world)) == expected
        if policy == "Replace":
            assert jobs(world)[0].endswith(str(int(world.clock.start.timestamp()) // 60 + 2))
        assert bool(world.events("JobAlreadyActive")) == (policy == "Forbid")


async def test_suspended_it_does_nothing():
    async with plane(CronJobReconciler) as world:
        await world.api.create(CRONJOBS, cronjob(suspend=True))
        await world.settle()
        await world.advance(180)
        assert jobs(world) == []


async def test_after_an_outage_only_the_last_missed_time_is_made_up_for_within_the_deadline():
    clock = FakeClock()
    async with plane(CronJobReconciler, clock=clock) as world:
        late = cronjob(startingDeadlineSeconds=30, schedule="0 * * * *")
        api = world.api
        await api.create(CRONJOBS, late)
    clock.advance(3 * 3600 + 20)
    async with plane(CronJobReconciler, clock=clock, api=api) as world:
        await world.settle()
        assert jobs(world) == [f"tick-{int(clock.start.timestamp()) // 60 + 180}"]
