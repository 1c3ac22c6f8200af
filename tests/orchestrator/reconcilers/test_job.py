import pytest

from orchestrator.machinery.clock import rfc3339
from orchestrator.objects.kinds import JOBS, PODS
from orchestrator.reconcilers.job import JobReconciler
from orchestrator.reconcilers.job_plan import INDEX, format_indexes, parse_indexes
from tests.orchestrator.world import plane, pod_template


def job(**spec):
    template = pod_template(restartPolicy=spec.pop("restartPolicy", "Never"))
    return {
        "metadata": {"name": "work", "namespace": "default"},
        "spec": {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": template, **spec},
    }


async def status(world):
    return (await world.api.get(JOBS, "work", "default"))["status"]


async def conditions(world):
    return {one["type"]: one["reason"] for one in (await status(world)).get("conditions", ())}


async def end(world, one, phase, code=0):
    ended = {"name": "main", "state": {"terminated": {"exitCode": code, "finishedAt": rfc3339(world.clock.now())}}}
    await world.set_pod(one, phase, ready=False, containerStatuses=[ended])
    await world.settle()


def live(world):
    return [one for one in world.pods() if one.get("status", {}).get("phase") in (None, "Pending", "Running")]


async def test_a_job_completes_when_its_pods_have():
    async with plane(JobReconciler) as world:
        await world.api.create(JOBS, job(completions=3, parallelism=2))
        await world.settle()
        assert len(live(world)) == 2
        for _ in range(3):
            await end(world, live(world)[0], "Succeeded")
        assert await conditions(world) == {
            "SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached",
        }  # fmt: skip
        found = await status(world)
        assert found["succeeded"] == 3 and found["completionTime"] and not found.get("active")
        assert not any(one["metadata"].get("finalizers") for one in world.pods())
        assert world.events("Completed") == ["Job completed"]


async def test_failures_are_retried_with_growing_pauses_until_the_limit():
    async with plane(JobReconciler) as world:
        await world.api.create(JOBS, job(backoffLimit=2))
        await world.settle()
        for pause in (10, 20):
            await end(world, live(world)[0], "Failed", 1)
            await world.advance(pause - 1)
            assert not live(world)
            await world.advance(1.5)
        await end(world, live(world)[0], "Failed", 1)
        assert await conditions(world) == {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}
        assert (await status(world))["failed"] == 3
        assert world.events("BackoffLimitExceeded")


async def test_an_indexed_job_runs_each_index_once():
    async with plane(JobReconciler) as world:
        await world.api.create(JOBS, job(completions=3, parallelism=3, completionMode="Indexed"))
        await world.settle()
        by_index = {
            one["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]: one for one in live(world)
        }
        assert sorted(by_index) == ["0", "1", "2"]
        assert by_index["1"]["spec"]["hostname"] == "work-1"
        assert by_index["1"]["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
        await end(world, by_index["0"], "Succeeded")
        await end(world, by_index["2"], "Succeeded")
        assert (await status(world))["completedIndexes"] == "0,2"
        await end(world, by_index["1"], "Failed", 1)
        await world.advance(10.5)
        (again,) = live(world)
        assert again["metadata"]["annotations"][INDEX] == "1"
        await end(world, again, "Succeeded")
        assert "Complete" in await conditions(world)
        assert (await status(world))["completedIndexes"] == "0-2"


async def test_each_index_has_its_own_retries():
    async with plane(JobReconciler) as world:
        spec = job(completions=2, parallelism=2, completionMode="Indexed", backoffLimitPerIndex=0)
        del spec["spec"]["backoffLimit"]
        await world.api.create(JOBS, spec)
        await world.settle()
        first, second = live(world)
        await end(world, first, "Failed", 1)
        assert (await status(world))["failedIndexes"] == "0"
        await end(world, second, "Succeeded")
        assert (await conditions(world))["Failed"] == "FailedIndexes"


async def test_a_deadline_ends_the_job_and_its_pods():
    async with plane(JobReconciler) as world:
        await world.api.create(JOBS, job(activeDeadlineSeconds=30))
        await world.settle()
        await world.advance(31)
        assert (await conditions(world))["Failed"] == "DeadlineExceeded"
        assert not world.pods()


async def test_suspending_stops_pods_without_counting_them_and_resuming_starts_anew():
    async with plane(JobReconciler) as world:
        await world.api.create(JOBS, job())
        await world.settle()
        await world.api.patch(JOBS, "work", "default", patch={"spec": {"suspend": True}})
        await world.settle()
        assert not world.pods() and "startTime" not in await status(world) and not (await status(world)).get("failed")
        await world.api.patch(JOBS, "work", "default", patch={"spec": {"suspend": False}})
        await world.settle()
        assert len(live(world)) == 1 and (await status(world))["startTime"]
        assert world.events("Suspended") and world.events("Resumed")


async def test_a_failure_policy_gives_up_at_once_or_ignores():
    rules = [
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
    async with plane(JobReconciler) as world:
        await world.api.create(JOBS, job(podFailurePolicy={"rules": rules}, backoffLimit=0))
        await world.settle()
        one = live(world)[0]
        await world.set_pod(one, "Failed", ready=False, conditions=[{"type": "DisruptionTarget", "status": "True"}])
        await world.advance(600)
        assert not (await status(world)).get("failed")
        await end(world, live(world)[0], "Failed", 42)
        assert (await conditions(world))["Failed"] == "PodFailurePolicy"


async def test_a_pod_deleted_from_outside_is_replaced_and_counted():
    async with plane(JobReconciler) as world:
        await world.api.create(JOBS, job())
        await world.settle()
        (one,) = live(world)
        await world.api.delete(PODS, one["metadata"]["name"], "default")
        await world.settle()
        (other,) = live(world)
        assert other["metadata"]["uid"] != one["metadata"]["uid"] and (await status(world))["failed"] == 1


async def test_pods_of_a_deleted_job_are_not_held_back():
    async with plane(JobReconciler) as world:
        await world.api.create(JOBS, job())
        await world.settle()
        await world.api.delete(JOBS, "work", "default", propagation="Background")
        await world.settle()
        assert not any(one["metadata"].get("finalizers") for one in world.pods())


@pytest.mark.parametrize("indexes, text", [([], ""), ([3], "3"), ([0, 1, 2, 5, 7, 8], "0-2,5,7,8")])
def test_index_ranges_are_written_and_read_back(indexes, text):
    assert format_indexes(indexes) == text
    assert parse_indexes(text) == set(indexes)
