from orchestrator.objects.kinds import ENDPOINTS, ENDPOINTSLICES, SERVICES
from orchestrator.reconcilers.endpointslice_mirror import EndpointSliceMirror
from tests.orchestrator.world import plane

NAMED = {"name": "out", "namespace": "default"}
SUBSET = {
    "addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}],
    "notReadyAddresses": [{"ip": "192.0.2.2"}],
    "ports": [{"port": 443, "protocol": "TCP"}],
}


async def test_endpoints_by_hand_become_slices_and_follow_them():
    async with plane(EndpointSliceMirror) as world:
        await world.api.create(SERVICES, {"metadata": NAMED, "spec": {"ports": [{"port": 443}]}})
        await world.api.create(ENDPOINTS, {"metadata": NAMED, "subsets": [SUBSET]})
        await world.settle()
        four, six = sorted(world.api.peek(ENDPOINTSLICES), key=lambda one: one["addressType"])
        assert [one["addresses"] for one in four["endpoints"]] == [["192.0.2.1"], ["192.0.2.2"]]
        assert [one["conditions"]["ready"] for one in four["endpoints"]] == [True, False]
        assert (six["addressType"], four["metadata"]["labels"]["kubernetes.io/service-name"]) == ("IPv6", "out")
        changed = {"subsets": [{"addresses": [{"ip": "192.0.2.9"}], "ports": SUBSET["ports"]}]}
        await world.api.patch(ENDPOINTS, "out", "default", patch=changed)
        await world.settle()
        (only,) = world.api.peek(ENDPOINTSLICES)
        assert [one["addresses"] for one in only["endpoints"]] == [["192.0.2.9"]]
        await world.api.delete(ENDPOINTS, "out", "default")
        await world.settle()
        assert not world.api.peek(ENDPOINTSLICES)


async def test_a_service_with_a_selector_is_left_to_its_own_reconciler():
    async with plane(EndpointSliceMirror) as world:
        await world.api.create(
            SERVICES, {"metadata": NAMED, "spec": {"selector": {"app": "x"}, "ports": [{"port": 443}]}}
        )
        await world.api.create(ENDPOINTS, {"metadata": NAMED, "subsets": [SUBSET]})
        await world.settle()
        assert not world.api.peek(ENDPOINTSLICES)
