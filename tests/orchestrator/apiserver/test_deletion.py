"""What waits before it goes, and what goes at once."""

from __future__ import annotations

import pytest

from orchestrator import errors
from orchestrator.objects import kinds


async def bound(client, pod, name="p", **spec):
    await client.create(kinds.PODS, pod(name, **spec))
    await client.create_subresource(
        kinds.PODS, name, "default", "binding", {"target": {"kind": "Node", "name": "node-a"}}
    )


async def test_a_pod_nobody_runs_goes_at_once(client, pod):
    await client.create(kinds.PODS, pod("p"))
    await client.delete(kinds.PODS, "p", "default")
    with pytest.raises(errors.NotFound):
        await client.get(kinds.PODS, "p", "default")


async def test_a_pod_on_a_node_waits_for_its_agent(client, pod):
    await bound(client, pod, terminationGracePeriodSeconds=7)
    await client.delete(kinds.PODS, "p", "default")
    meta = (await client.get(kinds.PODS, "p", "default"))["metadata"]
    assert (meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"]) == ("2027-01-15T08:00:07Z", 7)
    await client.delete(kinds.PODS, "p", "default", grace_period=0)
    with pytest.raises(errors.NotFound):
        await client.get(kinds.PODS, "p", "default")


async def test_the_grace_of_a_stopping_pod_can_be_shortened_but_not_extended(client, pod):
    await bound(client, pod)
    await client.delete(kinds.PODS, "p", "default", grace_period=20)
    await client.delete(kinds.PODS, "p", "default", grace_period=60)
    assert (await client.get(kinds.PODS, "p", "default"))["metadata"]["deletionGracePeriodSeconds"] == 20
    await client.delete(kinds.PODS, "p", "default", grace_period=5)
    assert (await client.get(kinds.PODS, "p", "default"))["metadata"]["deletionGracePeriodSeconds"] == 5


async def test_a_finished_pod_goes_at_once(client, pod):
    await bound(client, pod)
    await client.patch(kinds.PODS, "p", "default", patch={"status": {"phase": "Succeeded"}}, subresource="status")
    await client.delete(kinds.PODS, "p", "default")
    with pytest.raises(errors.NotFound):
        await client.get(kinds.PODS, "p", "default")


async def test_finalizers_hold_an_object_until_the_last_is_gone(client):
    config = {"metadata": {"name": "c", "namespace": "default", "finalizers": ["a.test/one", "a.test/two"]}}
    await client.create(kinds.CONFIGMAPS, config)
    await client.delete(kinds.CONFIGMAPS, "c", "default")
    held = await client.get(kinds.CONFIGMAPS, "c", "default")
    assert held["metadata"]["deletionTimestamp"]
    for left in (["a.test/two"], None):
        await client.patch(kinds.CONFIGMAPS, "c", "default", patch={"metadata": {"finalizers": left}})
    with pytest.raises(errors.NotFound):
        await client.get(kinds.CONFIGMAPS, "c", "default")


@pytest.mark.parametrize(("propagation", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
async def test_the_garbage_collector_is_left_its_part_by_a_finalizer(client, propagation, finalizer):
    await client.create(kinds.CONFIGMAPS, {"metadata": {"name": "c", "namespace": "default"}})
    await client.delete(kinds.CONFIGMAPS, "c", "default", propagation=propagation)
    assert (await client.get(kinds.CONFIGMAPS, "c", "default"))["metadata"]["finalizers"] == [finalizer]


async def test_a_namespace_stays_until_it_is_finalized_and_takes_nothing_new(client):
    await client.create(kinds.NAMESPACES, {"metadata": {"name": "n"}})
    await client.delete(kinds.NAMESPACES, "n")
    namespace = await client.get(kinds.NAMESPACES, "n")
    assert namespace["status"]["phase"] == "Terminating"
    with pytest.raises(errors.Forbidden, match="because it is being terminated"):
        await client.create(kinds.CONFIGMAPS, {"metadata": {"name": "c", "namespace": "n"}})
    await client.update(kinds.NAMESPACES, {**namespace, "spec": {"finalizers": []}}, subresource="finalize")
    with pytest.raises(errors.NotFound):
        await client.get(kinds.NAMESPACES, "n")


async def test_the_systems_own_namespaces_cannot_be_deleted(client):
    with pytest.raises(errors.Forbidden, match="this namespace may not be deleted"):
        await client.delete(kinds.NAMESPACES, "kube-system")
