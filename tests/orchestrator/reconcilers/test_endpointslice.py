from orchestrator.objects.kinds import ENDPOINTS, ENDPOINTSLICES, PODS, SERVICES
from orchestrator.reconcilers.endpoints import EndpointsReconciler
from orchestrator.reconcilers.endpointslice import EndpointSliceReconciler, plan_slices
from tests.orchestrator.world import plane, pod

SERVICE = {
    "metadata": {"name": "web", "namespace": "default", "uid": "s1"},
    "apiVersion": "v1",
    "kind": "Service",
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 5000}], "clusterIP": "10.96.0.9"},
}


def endpoints(world):
    return [one for part in world.api.peek(ENDPOINTSLICES) for one in part["endpoints"]]


async def test_readiness_and_termination_show_at_once():
    async with plane(EndpointSliceReconciler) as world:
        await world.api.create(SERVICES, SERVICE)
        one = await world.api.create(PODS, pod("a", labels={"app": "web"}, nodeName="n1"))
        await world.settle()
        assert endpoints(world) == []
        await world.set_pod(one, ready=False)
        await world.settle()
        (shown,) = endpoints(world)
        assert shown["conditions"] == {"ready": False, "serving": False, "terminating": False}
        await world.set_pod(one)
        await world.settle()
        (shown,) = endpoints(world)
        assert shown["conditions"] == {"ready": True, "serving": True, "terminating": False}
        assert shown["nodeName"] == "n1" and shown["targetRef"]["name"] == "a"
        await world.api.delete(PODS, "a", "default")
        await world.settle()
        (shown,) = endpoints(world)
        assert shown["conditions"] == {"ready": False, "serving": True, "terminating": True}
        await world.api.delete(PODS, "a", "default", grace_period=0)
        await world.settle()
        assert endpoints(world) == []
        (part,) = world.api.peek(ENDPOINTSLICES)
        assert part["metadata"]["labels"]["kubernetes.io/service-name"] == "web"
        assert part["addressType"] == "IPv4"


async def test_more_than_a_slice_holds_fills_a_second_one_and_changes_touch_only_one():
    pods = [
        {**pod(f"p{n:03}", labels={"app": "web"}), "status": {"podIP": f"10.0.0.{n}", "phase": "Running"}}
        for n in range(150)
    ]
    for n, one in enumerate(pods):
        one["metadata"]["uid"] = f"u{n}"
    plan = plan_slices(SERVICE, pods, [], {})
    assert [len(one["endpoints"]) for one in plan.create] == [100, 50]
    existing = [{**one, "metadata": {**one["metadata"], "name": f"s{n}"}} for n, one in enumerate(plan.create)]
    assert plan_slices(SERVICE, pods, existing, {}) == type(plan)()
    fewer = plan_slices(SERVICE, pods[1:], existing, {})
    assert [one["metadata"]["name"] for one in fewer.update] == ["s0"] and not fewer.create and not fewer.delete


async def test_named_ports_follow_each_pod():
    service = {**SERVICE, "spec": {**SERVICE["spec"], "ports": [{"name": "http", "port": 80, "targetPort": "web"}]}}

    def with_port(name, number):
        container = {"name": "c", "image": "i", "ports": [{"name": "web", "containerPort": number}]}
        return pod(name, labels={"app": "web"}, containers=[container])

    async with plane(EndpointSliceReconciler) as world:
        await world.api.create(SERVICES, service)
        for name, number in (("a", 8000), ("b", 9000)):
            await world.set_pod(await world.api.create(PODS, with_port(name, number)))
        await world.settle()
        seen = {part["ports"][0]["port"]: len(part["endpoints"]) for part in world.api.peek(ENDPOINTSLICES)}
        assert seen == {8000: 1, 9000: 1}


async def test_endpoints_list_the_ready_and_the_unready_apart():
    async with plane(EndpointsReconciler) as world:
        await world.api.create(SERVICES, SERVICE)
        ready = await world.api.create(PODS, pod("a", labels={"app": "web"}))
        unready = await world.api.create(PODS, pod("b", labels={"app": "web"}))
        await world.set_pod(ready)
        await world.set_pod(unready, ready=False)
        await world.advance(0.2)
        (one,) = world.api.peek(ENDPOINTS)
        (subset,) = one["subsets"]
        assert [address["targetRef"]["name"] for address in subset["addresses"]] == ["a"]
        assert [address["targetRef"]["name"] for address in subset["notReadyAddresses"]] == ["b"]
        assert subset["ports"] == [{"port": 5000, "protocol": "TCP"}]
