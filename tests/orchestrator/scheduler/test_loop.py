import pytest

from orchestrator.objects.kinds import NODES, PODS, PRIORITYCLASSES
from orchestrator.scheduler.loop import Scheduler
from tests.orchestrator.world import plane, pod


def where(world, name):
    found = next(one for one in world.api.peek(PODS) if one["metadata"]["name"] == name)
    return found["spec"].get("nodeName")


def refusal(world, name):
    found = next(one for one in world.api.peek(PODS) if one["metadata"]["name"] == name)
    (condition,) = [one for one in found["status"]["conditions"] if one["type"] == "PodScheduled"]
    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    return condition["message"]


NONE_FOUND = " preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."


async def test_a_pod_is_bound_to_the_node_with_room():
    async with plane(Scheduler) as world:
        await world.add_node("small", cpu="1")
        await world.add_node("big", cpu="4")
        await world.api.create(PODS, pod("a", requests={"cpu": "2"}))
        await world.settle()
        assert where(world, "a") == "big"
        assert world.events("Scheduled") == ["Successfully assigned default/a to big"]


async def test_what_fits_nowhere_is_told_in_kubernetes_words_and_bound_when_room_comes():
    async with plane(Scheduler) as world:
        await world.add_node("n1", memory="1Gi")
        await world.api.create(PODS, pod("first", requests={"memory": "1Gi"}))
        await world.settle()
        await world.api.create(PODS, pod("second", requests={"memory": "512Mi"}))
        await world.settle()
        assert refusal(world, "second") == "0/1 nodes are available: 1 Insufficient memory." + NONE_FOUND
        assert world.events("FailedScheduling") == [refusal(world, "second")]
        await world.api.delete(PODS, "first", "default", grace_period=0)
        await world.advance(1.1)
        assert where(world, "second") == "n1"


async def test_every_node_names_its_own_reason():
    async with plane(Scheduler) as world:
        await world.add_node("a", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
        await world.add_node("b", cpu="100m")
        await world.add_node("c", cpu="100m")
        await world.api.create(PODS, pod("p", requests={"cpu": "1"}))
        await world.settle()
        assert refusal(world, "p").startswith(
            "0/3 nodes are available: 1 node(s) had untolerated taint {gpu: yes}, 2 Insufficient cpu."
        )


async def test_without_nodes_the_pod_waits_for_the_first():
    async with plane(Scheduler) as world:
        await world.api.create(PODS, pod("p"))
        await world.settle()
        assert "no nodes available to schedule pods" in refusal(world, "p")
        await world.add_node("n1")
        await world.advance(1.1)
        assert where(world, "p") == "n1"


@pytest.mark.parametrize("spec, expected", [
    ({"nodeSelector": {"disk": "fast"}}, "fast"),
    ({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "disk", "operator": "NotIn", "values": ["fast"]}]}]}}}}, "slow"),
    ({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 10, "preference": {"matchExpressions": [
            {"key": "disk", "operator": "In", "values": ["fast"]}]}}]}}}, "fast"),
])  # fmt: skip
async def test_node_affinity_decides(spec, expected):
    async with plane(Scheduler) as world:
        await world.add_node("fast", labels={"disk": "fast"})
        await world.add_node("slow", labels={"disk": "slow"})
        await world.api.create(PODS, pod("p", **spec))
        await world.settle()
        assert where(world, "p") == expected


async def test_pods_that_repel_each_other_land_on_different_nodes_and_the_last_waits():
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "kubernetes.io/hostname"}]}}  # fmt: skip
    async with plane(Scheduler) as world:
        await world.add_node("n1")
        await world.add_node("n2")
        for name in "abc":
            await world.api.create(PODS, pod(name, labels={"app": "db"}, affinity=affinity))
            await world.settle()
        assert {where(world, "a"), where(world, "b")} == {"n1", "n2"}
        assert "2 node(s) didn't satisfy existing pods anti-affinity rules" in refusal(world, "c")


async def test_a_spread_constraint_keeps_zones_even():
    spread = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
               "labelSelector": {"matchLabels": {"app": "web"}}}]  # fmt: skip
    async with plane(Scheduler) as world:
        for name, zone in (("n1", "a"), ("n2", "a"), ("n3", "b")):
            await world.add_node(name, labels={"zone": zone})
        for number in range(6):
            await world.api.create(PODS, pod(f"p{number}", labels={"app": "web"}, topologySpreadConstraints=spread))
            await world.settle()
        placed = [where(world, f"p{number}") for number in range(6)]
        assert placed.count("n3") == 3 and None not in placed


async def test_host_ports_are_given_once():
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80}]}
    async with plane(Scheduler) as world:
        await world.add_node("n1")
        for name in "ab":
            await world.api.create(PODS, pod(name, containers=[container]))
            await world.settle()
        assert where(world, "a") == "n1"
        assert "1 node(s) didn't have free ports for the requested pod ports" in refusal(world, "b")


async def test_a_more_important_pod_makes_room_for_itself():
    async with plane(Scheduler) as world:
        await world.add_node("n1", cpu="2")
        for name, value in (("slight", 1), ("medium", 5), ("grave", 10)):
            await world.api.create(PRIORITYCLASSES, {"metadata": {"name": name}, "value": value})
        await world.api.create(PODS, pod("low", requests={"cpu": "1"}))
        await world.api.create(PODS, pod("middle", requests={"cpu": "1"}, priorityClassName="medium"))
        await world.settle()
        await world.api.create(PODS, pod("high", requests={"cpu": "1"}, priorityClassName="grave"))
        await world.settle()
        gone = [one["metadata"]["name"] for one in world.pods() if one["metadata"].get("deletionTimestamp")]
        assert gone == ["low"]
        (high,) = [one for one in world.pods() if one["metadata"]["name"] == "high"]
        assert high["status"]["nominatedNodeName"] == "n1"
        await world.api.create(PODS, pod("sneak", requests={"cpu": "1"}, priorityClassName="slight"))
        await world.api.delete(PODS, "low", "default", grace_period=0)
        await world.advance(12)
        assert where(world, "high") == "n1" and where(world, "sneak") is None


async def test_cordoned_nodes_take_nobody_new():
    async with plane(Scheduler) as world:
        await world.add_node("n1")
        await world.api.patch(NODES, "n1", patch={"spec": {"unschedulable": True}})
        await world.api.create(PODS, pod("p"))
        await world.settle()
        assert "1 node(s) were unschedulable" in refusal(world, "p")


async def test_copies_of_one_owner_spread_over_nodes():
    owner = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u1", "controller": True}]
    async with plane(Scheduler) as world:
        for name in ("n1", "n2", "n3"):
            await world.add_node(name)
        for number in range(6):
            one = pod(f"p{number}")
            one["metadata"]["ownerReferences"] = owner
            await world.api.create(PODS, one)
            await world.settle()
        placed = [where(world, f"p{number}") for number in range(6)]
        assert sorted(placed) == ["n1", "n1", "n2", "n2", "n3", "n3"]


async def test_a_failed_binding_gives_the_room_back_and_is_tried_again():
    async with plane(Scheduler) as world:
        await world.add_node("n1", cpu="1")
        real = world.api.create_subresource
        failures = iter([True])

        async def flaky(*args):
            if next(failures, False):
                raise OSError("connection reset")
            return await real(*args)

        world.api.create_subresource = flaky
        await world.api.create(PODS, pod("p", requests={"cpu": "1"}))
        await world.settle()
        assert where(world, "p") is None
        await world.advance(1.1)
        assert where(world, "p") == "n1"


async def test_a_new_reason_is_told_soon_but_not_at_every_try():
    async with plane(Scheduler) as world:
        await world.api.create(PODS, pod("p", requests={"cpu": "9"}))
        await world.settle()
        for number in range(3):
            await world.add_node(f"n{number}")
            await world.advance(1.1)
        assert len(world.events("FailedScheduling")) == 1
        await world.advance(5)
        assert refusal(world, "p").startswith("0/3 nodes are available: 3 Insufficient cpu.")
        assert len(world.events("FailedScheduling")) == 2


async def test_one_refusal_stands_for_all_copies_until_something_changes():
    async with plane(Scheduler) as world:
        await world.add_node("n1", cpu="1")
        decisions = []
        decide = world.parts[0].decider.decide
        world.parts[0].decider.decide = lambda one: decisions.append(one) or decide(one)
        for number in range(20):
            await world.api.create(PODS, pod(f"p{number}", requests={"cpu": "2"}))
        await world.settle()
        assert len(decisions) == 1
        await world.add_node("n2", cpu="64")
        await world.advance(1.1)
        assert all(where(world, f"p{number}") == "n2" for number in range(20))
