from orchestrator.objects.kinds import CONTROLLERREVISIONS, DAEMONSETS, NODES
from orchestrator.objects.meta import is_deleting
from orchestrator.reconcilers.daemonset import DaemonSetReconciler
from orchestrator.scheduler.loop import Scheduler
from tests.orchestrator.world import plane, pod_template

PARTS = (DaemonSetReconciler, Scheduler)


def daemonset(**spec):
    template = pod_template(app="agent")
    template["spec"].update(spec.pop("pod", {}))
    return {
        "metadata": {"name": "agent", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": template, **spec},
    }


def where(world):
    return sorted(one["spec"].get("nodeName", "") for one in world.pods() if not is_deleting(one))


async def status(world):
    return (await world.api.get(DAEMONSETS, "agent", "default"))["status"]


async def test_every_fitting_node_gets_one_pod_and_new_nodes_too():
    async with plane(*PARTS) as world:
        await world.add_node("n1")
        await world.add_node("n2", taints=[{"key": "x", "effect": "NoSchedule"}])
        await world.api.create(DAEMONSETS, daemonset())
        await world.run_pods()
        assert where(world) == ["n1"]
        await world.add_node("n3")
        await world.run_pods()
        assert where(world) == ["n1", "n3"]
        found = await status(world)
        assert (found["desiredNumberScheduled"], found["numberReady"], found["numberAvailable"]) == (2, 2, 2)


async def test_a_revision_keeps_the_template_in_the_order_in_which_clients_compare_it():
    async with plane(*PARTS) as world:
        await world.api.create(DAEMONSETS, daemonset())
        await world.run_pods()
        (revision,) = (await world.api.list(CONTROLLERREVISIONS)).items
        template = revision["data"]["spec"]["template"]
        assert list(template) == ["$patch", "metadata", "spec"]
        assert list(template["spec"]) == sorted(template["spec"])
        assert list(template["spec"]["containers"][0]) == sorted(template["spec"]["containers"][0])


async def test_conditions_that_others_wrote_stay():
    async with plane(*PARTS) as world:
        await world.api.create(DAEMONSETS, daemonset())
        condition = {"type": "Checked", "status": "True"}
        patch = {"status": {"conditions": [condition]}}
        await world.api.patch(DAEMONSETS, "agent", "default", patch=patch, patch_type="merge", subresource="status")
        await world.add_node("n1")
        await world.run_pods()
        found = await status(world)
        assert (found["numberReady"], found["conditions"]) == (1, [condition])


async def test_a_node_that_no_longer_matches_loses_its_pod():
    async with plane(*PARTS) as world:
        await world.add_node("n1", labels={"disk": "fast"})
        await world.api.create(DAEMONSETS, daemonset(pod={"nodeSelector": {"disk": "fast"}}))
        await world.run_pods()
        assert where(world) == ["n1"]
        await world.api.patch(NODES, "n1", patch={"metadata": {"labels": {"disk": None}}})
        await world.run_pods()
        assert where(world) == []


async def test_cordoned_nodes_keep_and_get_daemons():
    async with plane(*PARTS) as world:
        await world.add_node("n1", taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}])
        await world.api.patch(NODES, "n1", patch={"spec": {"unschedulable": True}})
        await world.api.create(DAEMONSETS, daemonset())
        await world.run_pods()
        assert where(world) == ["n1"]


async def test_an_update_replaces_as_many_at_once_as_may_be_unavailable():
    async with plane(*PARTS) as world:
        for number in range(4):
            await world.add_node(f"n{number}")
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}
        await world.api.create(DAEMONSETS, daemonset(updateStrategy=rolling))
        await world.run_pods()
        template = {"spec": {"containers": [{"name": "main", "image": "registry.test/app:2"}]}}
        await world.api.patch(DAEMONSETS, "agent", "default", patch={"spec": {"template": template}})
        await world.settle()
        assert sum(is_deleting(one) for one in world.pods()) == 2
        await world.run_pods()
        assert {one["spec"]["containers"][0]["image"] for one in world.pods()} == {"registry.test/app:2"}
        assert (await status(world))["updatedNumberScheduled"] == 4


async def test_a_surge_starts_the_new_pod_before_the_old_one_ends():
    async with plane(*PARTS) as world:
        await world.add_node("n1")
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        await world.api.create(DAEMONSETS, daemonset(updateStrategy=rolling))
        await world.run_pods()
        template = {"spec": {"containers": [{"name": "main", "image": "registry.test/app:2"}]}}
        await world.api.patch(DAEMONSETS, "agent", "default", patch={"spec": {"template": template}})
        await world.settle()
        assert where(world) == ["n1", "n1"]
        await world.run_pods()
        assert [one["spec"]["containers"][0]["image"] for one in world.pods()] == ["registry.test/app:2"]
