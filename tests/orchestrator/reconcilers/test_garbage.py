from orchestrator.machinery.clock import FakeClock
from orchestrator.objects.kinds import DEPLOYMENTS, NAMESPACES, PODS, REPLICASETS, SECRETS
from orchestrator.objects.meta import owner_reference
from orchestrator.reconcilers.deployment import DeploymentReconciler
from orchestrator.reconcilers.garbage import GarbageCollector
from orchestrator.reconcilers.namespace import NamespaceReconciler
from orchestrator.reconcilers.replicaset import ReplicaSetReconciler
from tests.orchestrator.in_process import InProcessApi
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


async def test_a_circle_of_owners_does_not_wait_for_itself():
    async with plane(GarbageCollector) as world:
        made = [await world.api.create(SECRETS, {"metadata": {"name": n, "namespace": "default"}}) for n in "abc"]
        for one, owner in zip(made, made[-1:] + made[:-1], strict=True):
            reference = owner_reference(owner) | {"blockOwnerDeletion": True, "controller": True}
            name = one["metadata"]["name"]
            await world.api.patch(SECRETS, name, "default", patch={"metadata": {"ownerReferences": [reference]}})
        await world.settle()
        await world.api.delete(SECRETS, "a", "default", propagation="Foreground")
        await world.settle()
        assert not world.api.peek(SECRETS)


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
        namespace = await world.api.get(NAMESPACES, "app")
        messages = {one["type"]: one["message"] for one in namespace["status"]["conditions"]}
        assert "example.test/wait in 1 resource instances" in messages["NamespaceFinalizersRemaining"]
        assert not world.pods()
        await world.api.patch(SECRETS, "held", "app", patch={"metadata": {"finalizers": None}})
        await world.advance(12)
        assert "app" not in {one["metadata"]["name"] for one in world.api.peek(NAMESPACES)}


async def test_an_orphan_that_somebody_changes_meanwhile_is_let_go_before_its_owner_goes():
    class Contended(InProcessApi):
        contended = True

        async def patch(self, resource, name, namespace="", *, patch, **options):
            if name == "owned" and self.contended and "ownerReferences" in patch["metadata"]:
                self.contended = False
                await super().patch(resource, name, namespace, patch={"metadata": {"labels": {"changed": "yes"}}})
            return await super().patch(resource, name, namespace, patch=patch, **options)

    clock = FakeClock()
    api = Contended(clock)
    await api.start()
    async with plane(GarbageCollector, api=api, clock=clock) as world:
        one = await api.create(SECRETS, {"metadata": {"name": "owner", "namespace": "default"}})
        owned = {"name": "owned", "namespace": "default", "ownerReferences": [owner_reference(one)]}
        await api.create(SECRETS, {"metadata": owned})
        await api.delete(SECRETS, "owner", "default", propagation="Orphan")
        await world.advance(1)
        (left,) = api.peek(SECRETS)
        assert left["metadata"]["name"] == "owned" and "ownerReferences" not in left["metadata"]
        assert not api.contended
