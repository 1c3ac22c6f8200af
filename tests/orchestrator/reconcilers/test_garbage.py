from orchestrator.objects.kinds import DEPLOYMENTS, NAMESPACES, PODS, REPLICASETS, SECRETS
from orchestrator.reconcilers.deployment import DeploymentReconciler
from orchestrator.reconcilers.garbage import GarbageCollector
from orchestrator.reconcilers.namespace import NamespaceReconciler
from orchestrator.reconcilers.replicaset import ReplicaSetReconciler
from tests.orchestrator.world import deployment, plane

PARTS = (GarbageCollector, DeploymentReconciler, ReplicaSetReconciler)


async def deployed(world):
    await world.api.create(DEPLOYMENTS, deployment(replicas=2))
    await world.run_pods()
    assert len(world.pods()) == 2


async def test_in_the_background_dependents_follow_their_owner():
    async with plane(*PARTS) as world:
        await deployed(world)
        await world.api.delete(DEPLOYMENTS, "web", "default", propagation="Background")
        await world.settle()
        assert not world.api.peek(REPLICASETS) and not world.pods()


async def test_in_the_foreground_the_owner_goes_last():
    async with plane(*PARTS) as world:
        await deployed(world)
        for one in world.pods():
            await world.api.create_subresource(
                PODS, one["metadata"]["name"], "default", "binding", {"target": {"name": "n1"}}
            )
        await world.api.delete(DEPLOYMENTS, "web", "default", propagation="Foreground")
        await world.settle()
        assert world.api.peek(DEPLOYMENTS) and world.api.peek(REPLICASETS)
        assert all(one["metadata"].get("deletionTimestamp") for one in world.pods())
        await world.run_pods()
        assert not world.api.peek(DEPLOYMENTS) and not world.api.peek(REPLICASETS) and not world.pods()


async def test_orphans_stay_without_their_owner():
    async with plane(*PARTS) as world:
        await deployed(world)
        await world.api.delete(DEPLOYMENTS, "web", "default", propagation="Orphan")
        await world.settle()
        assert not world.api.peek(DEPLOYMENTS)
        (one,) = world.api.peek(REPLICASETS)
        assert not one["metadata"].get("ownerReferences") and len(world.pods()) == 2


async def test_an_object_with_a_living_owner_only_loses_the_dead_reference():
    async with plane(GarbageCollector) as world:
        one = await world.api.create(SECRETS, {"metadata": {"name": "alive", "namespace": "default"}})
        reference = {"apiVersion": "v1", "kind": "Secret"}
        alive = {**reference, "name": "alive", "uid": one["metadata"]["uid"]}
        dead = {**reference, "name": "dead", "uid": "gone"}
        owned = {"name": "owned", "namespace": "default", "ownerReferences": [alive, dead]}
        await world.api.create(SECRETS, {"metadata": owned})
        await world.settle()
        owned = await world.api.get(SECRETS, "owned", "default")
        assert owned["metadata"]["ownerReferences"] == [alive]


async def test_a_namespace_takes_everything_with_it():
    async with plane(GarbageCollector, NamespaceReconciler, DeploymentReconciler, ReplicaSetReconciler) as world:
        await world.api.create(NAMESPACES, {"metadata": {"name": "app"}})
        one = deployment()
        one["metadata"]["namespace"] = "app"
        await world.api.create(DEPLOYMENTS, one)
        held = {"name": "held", "namespace": "app", "finalizers": ["example.test/wait"]}
        await world.api.create(SECRETS, {"metadata": held})
        await world.run_pods()
        await world.api.delete(NAMESPACES, "app")
        await world.advance(2)
        (namespace,) = world.api.peek(NAMESPACES)
        messages = {one["type"]: one["message"] for one in namespace["status"]["conditions"]}
        assert "example.test/wait in 1 resource instances" in messages["NamespaceFinalizersRemaining"]
        assert not world.pods()
        await world.api.patch(SECRETS, "held", "app", patch={"metadata": {"finalizers": None}})
        await world.advance(12)
        assert not world.api.peek(NAMESPACES)
