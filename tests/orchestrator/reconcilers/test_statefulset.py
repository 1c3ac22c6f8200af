from orchestrator.objects.kinds import CONTROLLERREVISIONS, PERSISTENTVOLUMECLAIMS, PODS, STATEFULSETS
from orchestrator.objects.meta import is_deleting
from orchestrator.reconcilers.statefulset import StatefulSetReconciler
from tests.orchestrator.world import plane, pod_template


def statefulset(replicas=3, **spec):
    return {
        "metadata": {"name": "db", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": pod_template(app="db"),
            **spec,
        },
    }


def names(world):
    return sorted(one["metadata"]["name"] for one in world.pods() if not is_deleting(one))


def images(world):
    return {one["metadata"]["name"]: one["spec"]["containers"][0]["image"] for one in world.pods()}


async def change(world, **spec):
    await world.api.patch(STATEFULSETS, "db", "default", patch={"spec": spec})


def new_image(image):
    return {"spec": {"containers": [{"name": "main", "image": image}]}}


async def test_pods_come_one_after_the_other_with_names_and_claims():
    claims = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
               "resources": {"requests": {"storage": "1Gi"}}}}]  # fmt: skip
    async with plane(StatefulSetReconciler) as world:
        await world.api.create(STATEFULSETS, statefulset(volumeClaimTemplates=claims))
        for expected in (["db-0"], ["db-0", "db-1"], ["db-0", "db-1", "db-2"]):
            await world.settle()
            assert names(world) == expected
            for one in world.pods():
                await world.set_pod(one)
        await world.settle()
        found = [one["metadata"]["name"] for one in world.api.peek(PERSISTENTVOLUMECLAIMS)]
        assert found == ["data-db-0", "data-db-1", "data-db-2"]
        first = next(one for one in world.pods() if one["metadata"]["name"] == "db-0")
        assert (first["spec"]["hostname"], first["spec"]["subdomain"]) == ("db-0", "db")
        assert first["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "db-0"
        status = (await world.api.get(STATEFULSETS, "db", "default"))["status"]
        assert status["readyReplicas"] == 3 and status["currentRevision"] == status["updateRevision"]


async def test_parallel_pods_come_at_once():
    async with plane(StatefulSetReconciler) as world:
        await world.api.create(STATEFULSETS, statefulset(podManagementPolicy="Parallel"))
        await world.settle()
        assert names(world) == ["db-0", "db-1", "db-2"]


async def test_shrinking_takes_the_highest_first_and_keeps_claims():
    async with plane(StatefulSetReconciler) as world:
        await world.api.create(STATEFULSETS, statefulset())
        await world.run_pods()
        await change(world, replicas=1)
        await world.run_pods()
        assert names(world) == ["db-0"]


async def test_an_update_goes_from_the_highest_down_and_stops_at_an_unready_pod():
    async with plane(StatefulSetReconciler) as world:
        await world.api.create(STATEFULSETS, statefulset())
        await world.run_pods()
        await change(world, template=new_image("registry.test/app:2"))
        await world.settle()
        assert images(world)["db-2"].endswith(":2") and images(world)["db-1"].endswith(":1")
        await world.run_pods()
        assert set(images(world).values()) == {"registry.test/app:2"}
        status = (await world.api.get(STATEFULSETS, "db", "default"))["status"]
        assert status["currentRevision"] == status["updateRevision"] and status["updatedReplicas"] == 3
        assert len(world.api.peek(CONTROLLERREVISIONS)) == 2


async def test_a_partition_holds_the_lower_pods_back_even_when_they_are_made_anew():
    async with plane(StatefulSetReconciler) as world:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
        await world.api.create(STATEFULSETS, statefulset(updateStrategy=strategy))
        await world.run_pods()
        await change(world, template=new_image("registry.test/app:2"))
        await world.run_pods()
        await world.api.delete(PODS, "db-0", "default", grace_period=0)
        await world.run_pods()
        assert [images(world)[f"db-{n}"][-1] for n in range(3)] == ["1", "1", "2"]


async def test_nothing_is_written_at_rest():
    async with plane(StatefulSetReconciler) as world:
        await world.api.create(STATEFULSETS, statefulset())
        await world.run_pods()
        writes = world.api.writes
        for key in world.parts[0].sets.keys():
            world.parts[0].queue.add(key)
        await world.settle()
        assert world.api.writes == writes
