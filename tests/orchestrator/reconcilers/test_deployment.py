import re
from datetime import timedelta

from orchestrator.machinery.clock import FakeClock
from orchestrator.objects.kinds import DEPLOYMENTS, PODS, REPLICASETS
from orchestrator.reconcilers.deployment import DeploymentReconciler
from orchestrator.reconcilers.replicaset import ReplicaSetReconciler
from tests.orchestrator.world import deployment, plane, pod_template

PARTS = (DeploymentReconciler, ReplicaSetReconciler)


async def the(world, name="web"):
    return await world.api.get(DEPLOYMENTS, name, "default")


def sizes(world):
    return {
        one["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: one["spec"]["replicas"]
        for one in world.api.peek(REPLICASETS)
    }


async def change_image(world, image, name="web"):
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
    await world.api.patch(DEPLOYMENTS, name, "default", patch=patch)


def condition(obj, kind):
    return next(one for one in obj["status"]["conditions"] if one["type"] == kind)


async def test_a_new_deployment_gets_its_pods_and_reports_complete():
    async with plane(*PARTS) as world:
        await world.api.create(DEPLOYMENTS, deployment(replicas=3))
        await world.run_pods()
        status = (await the(world))["status"]
        assert {key: status[key] for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")} == {
            "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3,
        }  # fmt: skip
        progressing = condition(await the(world), "Progressing")
        assert (progressing["status"], progressing["reason"]) == ("True", "NewReplicaSetAvailable")
        assert condition(await the(world), "Available")["status"] == "True"
        (one,) = world.api.peek(REPLICASETS)
        pod_hash = one["metadata"]["labels"]["pod-template-hash"]
        assert re.fullmatch("[bcdfghjklmnpqrstvwxz2456789]{8,10}", pod_hash)
        assert one["metadata"]["name"] == f"web-{pod_hash}"
        for pod in world.pods():
            assert re.fullmatch(f"web-{pod_hash}-[bcdfghjklmnpqrstvwxz2456789]{{5}}", pod["metadata"]["name"])
            assert pod["metadata"]["labels"] == {"app": "web", "pod-template-hash": pod_hash}
            (owner,) = pod["metadata"]["ownerReferences"]
            assert (owner["kind"], owner["uid"], owner["controller"]) == ("ReplicaSet", one["metadata"]["uid"], True)
        assert world.events("ScalingReplicaSet") == [f"Scaled up replica set web-{pod_hash} from 0 to 3"]


async def test_a_rolling_update_replaces_all_pods_and_counts_revisions():
    async with plane(*PARTS) as world:
        await world.api.create(DEPLOYMENTS, deployment(replicas=4))
        await world.run_pods()
        await change_image(world, "registry.test/app:2")
        await world.run_pods()
        assert sizes(world) == {"1": 0, "2": 4}
        assert {pod["spec"]["containers"][0]["image"] for pod in world.pods()} == {"registry.test/app:2"}
        assert (await the(world))["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


async def test_going_back_reuses_the_old_set_under_a_new_revision():
    async with plane(*PARTS) as world:
        await world.api.create(DEPLOYMENTS, deployment(replicas=2))
        await world.run_pods()
        await change_image(world, "registry.test/app:2")
        await world.run_pods()
        await change_image(world, "registry.test/app:1")
        await world.run_pods()
        assert sizes(world) == {"2": 0, "3": 2}
        newest = next(one for one in world.api.peek(REPLICASETS) if one["spec"]["replicas"])
        assert newest["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"


async def test_recreate_starts_nothing_before_the_last_old_pod_has_ended():
    async with plane(*PARTS) as world:
        await world.api.create(DEPLOYMENTS, deployment(replicas=2, strategy={"type": "Recreate"}))
        await world.settle()
        for pod in world.pods():
            await world.api.create_subresource(
                PODS, pod["metadata"]["name"], "default", "binding", {"target": {"name": "n1"}},
            )  # fmt: skip
        await world.run_pods()
        await change_image(world, "registry.test/app:2")
        await world.settle()
        old = world.pods()
        assert len(old) == 2 and all(pod["metadata"].get("deletionTimestamp") for pod in old)
        await world.end_pod(old[0])
        await world.settle()
        assert len(world.pods()) == 1
        await world.end_pod(old[1])
        await world.run_pods()
        assert [pod["spec"]["containers"][0]["image"] for pod in world.pods()] == ["registry.test/app:2"] * 2


async def test_a_paused_deployment_scales_but_does_not_roll():
    async with plane(*PARTS) as world:
        await world.api.create(DEPLOYMENTS, deployment(replicas=2))
        await world.run_pods()
        await world.api.patch(DEPLOYMENTS, "web", "default", patch={"spec": {"paused": True, "replicas": 3}})
        await change_image(world, "registry.test/app:2")
        await world.run_pods()
        assert sizes(world) == {"1": 3}
        assert condition(await the(world), "Progressing")["reason"] == "DeploymentPaused"
        await world.api.patch(DEPLOYMENTS, "web", "default", patch={"spec": {"paused": False}})
        await world.run_pods()
        assert sizes(world) == {"1": 0, "2": 3}


async def test_a_rollout_that_does_not_come_up_exceeds_its_deadline_and_keeps_the_old_pods():
    async with plane(*PARTS) as world:
        await world.api.create(DEPLOYMENTS, deployment(replicas=4, progressDeadlineSeconds=60))
        await world.run_pods()
        await change_image(world, "registry.test/broken:1")
        await world.settle()
        await world.advance(59)
        assert condition(await the(world), "Progressing")["status"] == "True"
        await world.advance(3)
        progressing = condition(await the(world), "Progressing")
        assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")
        ready = [pod for pod in world.pods() if pod["status"]["phase"] == "Running"]
        assert len(ready) == 3


async def test_scaling_during_a_rollout_keeps_the_proportion():
    async with plane(*PARTS) as world:
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
        await world.api.create(DEPLOYMENTS, deployment(replicas=10, strategy=rolling))
        await world.run_pods()
        await change_image(world, "registry.test/broken:1")
        await world.settle()
        assert sizes(world) == {"1": 8, "2": 5}
        await world.api.patch(DEPLOYMENTS, "web", "default", patch={"spec": {"replicas": 15}})
        await world.settle()
        assert sizes(world) == {"1": 11, "2": 7}


async def test_old_sets_beyond_the_history_limit_are_removed():
    async with plane(*PARTS) as world:
        await world.api.create(DEPLOYMENTS, deployment(replicas=1, revisionHistoryLimit=1))
        await world.run_pods()
        for number in range(2, 6):
            await change_image(world, f"registry.test/app:{number}")
            await world.run_pods()
        assert sizes(world) == {"4": 0, "5": 1}


async def test_a_pod_counts_as_available_only_after_its_minimum_ready_time():
    async with plane(*PARTS) as world:
        await world.api.create(DEPLOYMENTS, deployment(replicas=1, minReadySeconds=10))
        await world.run_pods()
        assert "availableReplicas" not in (await the(world))["status"]
        await world.advance(10.5)
        assert (await the(world))["status"]["availableReplicas"] == 1


class LateClock(FakeClock):
    """Its timers fire a moment before what it shows: the first `late` looks at it after `begin` are behind."""

    late = 0

    def now(self):
        if self.late:
            self.late -= 1
            return super().now() - timedelta(milliseconds=1)
        return super().now()


async def test_a_pod_that_becomes_available_while_it_is_looked_at_is_not_forgotten():
    """Else the rollout would stand still until its deadline."""
    for late in range(12):
        async with plane(*PARTS, clock=LateClock()) as world:
            await world.api.create(DEPLOYMENTS, deployment(replicas=1, minReadySeconds=10))
            await world.run_pods()
            world.clock.advance(10 - world.clock.elapsed - 0.001)
            world.clock.late = late
            await world.advance(1)
            assert (await the(world))["status"].get("availableReplicas") == 1, late


async def test_a_template_whose_name_is_taken_gets_another_hash():
    async with plane(*PARTS) as world:
        await world.api.create(DEPLOYMENTS, deployment(replicas=1))
        await world.run_pods()
        (one,) = world.api.peek(REPLICASETS)
        await world.api.delete(DEPLOYMENTS, "web", "default")
        foreign = {**one, "metadata": {"name": one["metadata"]["name"], "namespace": "default", "labels": {"x": "y"}}}
        await world.api.delete(REPLICASETS, one["metadata"]["name"], "default")
        foreign["spec"] = {
            **one["spec"],
            "replicas": 0,
            "template": pod_template(**one["spec"]["template"]["metadata"]["labels"], other="yes"),
        }
        await world.api.create(REPLICASETS, foreign)
        await world.api.create(DEPLOYMENTS, deployment(replicas=1))
        await world.settle()
        await world.advance(1)
        assert (await the(world))["status"]["collisionCount"] == 1
        assert len([one for one in world.api.peek(REPLICASETS) if one["spec"]["replicas"]]) == 1


async def test_nothing_is_written_by_a_second_look():
    async with plane(*PARTS) as world:
        await world.api.create(DEPLOYMENTS, deployment(replicas=3))
        await world.run_pods()
        writes = world.api.writes
        for part in world.parts:
            for key in (part.deployments if isinstance(part, DeploymentReconciler) else part.sets).keys():
                part.queue.add(key)
        await world.settle()
        assert world.api.writes == writes
