import asyncio

from orchestrator.errors import NotFound
from orchestrator.objects.kinds import NODES, SERVICES
from orchestrator.reconcilers.load_balancer import LoadBalancerReconciler, needs_change, plan_ingress
from tests.orchestrator.world import plane

MINE = [{"ip": "192.0.2.9", "ipMode": "VIP"}]


def service(name, port=80, kind="LoadBalancer", created="2026-01-01T00:00:00Z", ingress=(), **spec):
    meta = {"name": name, "namespace": "default", "creationTimestamp": created}
    made = {"metadata": meta, "spec": {"type": kind, "ports": [{"port": port}], **spec}}
    return {**made, "status": {"loadBalancer": {"ingress": list(ingress)} if ingress else {}}}


def node(address="192.0.2.9", **labels):
    addresses = [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": address}]
    return {"metadata": {"name": "n", "labels": labels}, "status": {"addresses": addresses}}


def planned(*services, nodes=None):
    plan = plan_ingress(services, nodes or [node()])
    return {one["metadata"]["name"]: (mine, holder and holder["metadata"]["name"]) for one, mine, holder in plan}


def test_the_older_of_two_has_the_port_and_another_protocol_is_another_port():
    found = planned(
        service("young", created="2026-01-02T00:00:00Z"),
        service("old"),
        service("dns", ports=[{"port": 80, "protocol": "UDP"}]),
    )
    assert found == {"old": (MINE, None), "dns": (MINE, None), "young": ([], "old")}


def test_only_the_nodes_that_others_can_reach_count():
    excluded = node("192.0.2.10", **{"node.kubernetes.io/exclude-from-external-load-balancers": ""})
    assert planned(service("a"), nodes=[node("127.0.0.1"), excluded]) == {"a": ([], None)}


def test_another_types_and_classes_services_get_none():
    found = planned(service("a", kind="NodePort"), service("b", loadBalancerClass="example.test/lb"))
    assert found == {"a": ([], None), "b": ([], None)}


def test_what_somebody_else_wrote_stays():
    own = {"192.0.2.9"}
    assert not needs_change(service("a", ingress=[{"ip": "203.0.113.1"}]), MINE, own)
    assert not needs_change(service("a", ingress=MINE), MINE, own)
    assert needs_change(service("a"), MINE, own)
    assert needs_change(service("a", kind="ClusterIP", ingress=MINE), [], own)


async def test_a_service_waits_for_the_port_of_another_and_gets_it():
    async with plane(LoadBalancerReconciler) as world:
        await world.api.create(NODES, node())
        for name in ("first", "second"):
            await world.api.create(SERVICES, service(name))
            await world.settle()

        def told():
            return {one["metadata"]["name"]: one["status"]["loadBalancer"] for one in world.api.peek(SERVICES)}

        assert told() == {"first": {"ingress": MINE}, "second": {}}
        await world.api.delete(SERVICES, "first", "default")
        await world.settle()
        assert told() == {"second": {"ingress": MINE}}


async def test_a_service_that_went_before_the_cache_knows_stops_nobody_else(monkeypatch):
    async with plane(LoadBalancerReconciler) as world:
        api, write = world.parts[0].api, world.parts[0].api.update_status
        known = asyncio.Event()

        async def update_status(*arguments, **options):
            if not known.is_set():  # it is by another task of the same loop
                raise NotFound("gone")
            return await write(*arguments, **options)

        monkeypatch.setattr(api, "update_status", update_status)
        asyncio.get_running_loop().call_later(0.05, known.set)
        await world.api.create(NODES, node())
        await world.api.create(SERVICES, service("a"))
        async with asyncio.timeout(30):
            await known.wait()
        await world.advance(1)
        assert world.api.peek(SERVICES)[0]["status"]["loadBalancer"] == {"ingress": MINE}
