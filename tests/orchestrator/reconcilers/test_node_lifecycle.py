from orchestrator.machinery.tolerations import eviction_delay
from orchestrator.objects.kinds import NODES, PODS
from orchestrator.objects.meta import is_deleting
from orchestrator.reconcilers.node_lifecycle import NodeLifecycleReconciler
from orchestrator.reconcilers.pod_garbage import PodGarbageCollector
from tests.orchestrator.world import plane, pod

FIVE_MINUTES = [
    {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for what in ("not-ready", "unreachable")
]


async def ready(world):
    node = await world.api.get(NODES, "n1")
    return next(one["status"] for one in node["status"]["conditions"] if one["type"] == "Ready")


async def taints(world):
    node = await world.api.get(NODES, "n1")
    return {(one["key"].rpartition("/")[2], one["effect"]) for one in node["spec"].get("taints") or ()}


async def beat(world, seconds, *names):
    for _ in range(seconds // 10):
        for name in names or ("n1",):
            await world.renew_lease(name)
        await world.advance(10)


def ready_pods(world):
    conditions = [one for each in world.pods() for one in each["status"]["conditions"] if one["type"] == "Ready"]
    return [one["status"] for one in conditions]


async def test_a_silent_node_is_lost_after_forty_seconds_and_its_pods_leave_after_their_tolerance():
    async with plane(NodeLifecycleReconciler) as world:
        await world.add_node("n1")
        one = await world.api.create(PODS, pod("a", nodeName="n1", tolerations=FIVE_MINUTES))
        await world.set_pod(one)
        await world.add_node("n2")
        await beat(world, 60, "n1", "n2")
        assert await ready(world) == "True" and await taints(world) == set()
        await beat(world, 20, "n2")
        await world.advance(9)
        assert await ready(world) == "True"
        await world.advance(2)
        assert await ready(world) == "Unknown"
        assert await taints(world) == {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}
        assert ready_pods(world) == ["False"]
        await beat(world, 290, "n2")
        assert not is_deleting(world.pods()[0])
        await beat(world, 20, "n2")
        assert is_deleting(world.pods()[0])


async def test_when_no_node_answers_pods_stay_and_keep_their_traffic_until_another_does():
    async with plane(NodeLifecycleReconciler) as world:
        await world.add_node("n1")
        other = await world.add_node("n2")
        await world.set_pod(await world.api.create(PODS, pod("a", nodeName="n1", tolerations=FIVE_MINUTES)))
        await beat(world, 20, "n1", "n2")
        for _ in range(60):
            await world.advance(10)
        assert await ready(world) == "Unknown"
        assert ready_pods(world) == ["True"] and not is_deleting(world.pods()[0])
        await world.renew_lease("n2")
        current = await world.api.get(NODES, "n2")
        await world.api.update(NODES, {**current, "status": other["status"]}, subresource="status")
        await beat(world, 20, "n2")
        assert ready_pods(world) == ["False"] and not is_deleting(world.pods()[0]), "its tolerance begins now"
        await beat(world, 310, "n2")
        assert is_deleting(world.pods()[0])


async def test_a_node_that_comes_back_loses_its_taints_and_keeps_its_pods():
    async with plane(NodeLifecycleReconciler) as world:
        node = await world.add_node("n1")
        await world.set_pod(await world.api.create(PODS, pod("a", nodeName="n1", tolerations=FIVE_MINUTES)))
        await world.renew_lease("n1")
        await world.advance(60)
        assert await ready(world) == "Unknown"
        await world.renew_lease("n1")
        current = await world.api.get(NODES, "n1")
        await world.api.update(NODES, {**current, "status": node["status"]}, subresource="status")
        await beat(world, 400)
        assert await taints(world) == set() and not is_deleting(world.pods()[0])


async def test_cordoning_is_shown_as_a_taint():
    async with plane(NodeLifecycleReconciler) as world:
        await world.add_node("n1")
        await world.api.patch(NODES, "n1", patch={"spec": {"unschedulable": True}})
        await world.settle()
        assert await taints(world) == {("unschedulable", "NoSchedule")}
        await world.api.patch(NODES, "n1", patch={"spec": {"unschedulable": False}})
        await world.settle()
        assert await taints(world) == set()


async def test_a_taint_by_hand_evicts_each_pod_when_its_own_tolerance_ends():
    taint = {"key": "evict", "value": "yes", "effect": "NoExecute"}

    def tolerating(seconds):
        return [{"key": "evict", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}]

    async with plane(NodeLifecycleReconciler) as world:
        await world.add_node("n1")
        for name, tolerations in (("none", []), ("short", tolerating(20)), ("long", tolerating(60))):
            await world.set_pod(await world.api.create(PODS, pod(name, nodeName="n1", tolerations=tolerations)))
        await world.renew_lease("n1")
        await world.api.patch(NODES, "n1", patch={"spec": {"taints": [taint]}})
        for wait, left in ((0, {"short", "long"}), (15, {"short", "long"}), (6, {"long"}), (20, {"long"})):
            await world.advance(wait)
            await world.renew_lease("n1")
            assert {one["metadata"]["name"] for one in world.pods() if not is_deleting(one)} == left
        await world.api.patch(NODES, "n1", patch={"spec": {"taints": None}})
        await world.advance(30)
        assert not is_deleting(next(one for one in world.pods() if one["metadata"]["name"] == "long"))


def test_the_shortest_matching_tolerance_counts():
    taint = {"key": "k", "effect": "NoExecute"}
    assert eviction_delay([taint], []) == 0.0
    assert eviction_delay([taint], [{"operator": "Exists"}]) is None
    both = [{"key": "k", "operator": "Exists", "tolerationSeconds": n} for n in (60, 30)]
    assert eviction_delay([taint], both) == 30.0


async def test_pods_of_a_node_that_is_gone_are_removed_after_a_while():
    async with plane(PodGarbageCollector) as world:
        await world.add_node("n1")
        await world.set_pod(await world.api.create(PODS, pod("a", nodeName="n1")))
        await world.api.delete(NODES, "n1")
        await world.advance(39)
        assert world.pods()
        await world.advance(2)
        assert not world.pods()
