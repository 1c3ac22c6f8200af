"""What the two identities of a node's agent may do, over HTTPS with the certificates that the server made for them."""

from __future__ import annotations

import pytest

from orchestrator.apiserver.main import Server
from orchestrator.errors import Forbidden
from orchestrator.http_client import HttpClient
from orchestrator.objects.kinds import (
    CONFIGMAPS,
    ENDPOINTSLICES,
    LEASES,
    NAMESPACES,
    NETWORKPOLICIES,
    NODES,
    PODS,
    SECRETS,
    SERVICES,
)
from tests.orchestrator.apiserver.caller import serving


@pytest.fixture
async def server(tmp_path, pki):
    async with serving(tmp_path, pki) as server:
        yield server


def identity(server: Server, name: str) -> HttpClient:
    client = HttpClient.from_kubeconfig(server.settings.data / f"{name}.kubeconfig")
    client._config.server = f"https://127.0.0.1:{server.http.port}"
    return client


async def placed(server: Server, pod, name: str, node: str, **spec) -> None:
    await server.client.create(PODS, pod(name, **spec))
    await server.client.create_subresource(PODS, name, "default", "binding", {"target": {"name": node}})


async def test_a_node_sees_its_own_pods_and_nobody_elses(server, pod):
    await placed(server, pod, "mine", "node-a")
    await placed(server, pod, "theirs", "node-b")
    async with identity(server, "agent") as agent:
        own = await agent.list(PODS, field_selector="spec.nodeName=node-a")
        assert [one["metadata"]["name"] for one in own.items] == ["mine"]
        assert (await agent.get(PODS, "mine", "default"))["metadata"]["name"] == "mine"
        async for event in agent.watch(PODS, resource_version="1", field_selector="spec.nodeName=node-a"):
            assert event.object["metadata"]["name"] == "mine"
            break
        for selector in ("", "spec.nodeName=node-b", "spec.nodeName!=node-b", "metadata.name=theirs", "nonsense"):
            with pytest.raises(Forbidden):
                await agent.list(PODS, field_selector=selector)
            with pytest.raises(Forbidden):
                async for _ in agent.watch(PODS, resource_version="1", field_selector=selector):
                    pass
        for name in ("theirs", "nobodys"):
            with pytest.raises(Forbidden):
                await agent.get(PODS, name, "default")


async def test_a_node_reads_what_its_pods_mount_one_by_one(server, pod):
    for name in ("mounted", "other"):
        await server.client.create(SECRETS, {"metadata": {"name": name, "namespace": "default"}})
        await server.client.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": "default"}})
    volumes = [
        {"name": "s", "secret": {"secretName": "mounted"}},
        {"name": "c", "projected": {"sources": [{"configMap": {"name": "mounted"}}]}},
    ]
    await placed(server, pod, "mine", "node-a", volumes=volumes)
    async with identity(server, "agent") as agent:
        for resource in (SECRETS, CONFIGMAPS):
            assert (await agent.get(resource, "mounted", "default"))["metadata"]["name"] == "mounted"
            with pytest.raises(Forbidden):
                await agent.get(resource, "other", "default")
            with pytest.raises(Forbidden):
                await agent.list(resource, "default")


async def test_a_node_keeps_its_own_node_and_lease_and_sees_no_others(server):
    for name in ("node-a", "node-b"):
        await server.client.create(NODES, {"metadata": {"name": name}})
    async with identity(server, "agent") as agent:
        assert (await agent.get(NODES, "node-a"))["metadata"]["name"] == "node-a"
        lease = {"metadata": {"name": "node-b", "namespace": "kube-node-lease"}}
        for attempt in (
            agent.get(NODES, "node-b"),
            agent.list(NODES),
            agent.patch(NODES, "node-b", patch={"metadata": {"labels": {"a": "b"}}}),
            agent.create(NODES, {"metadata": {"name": "node-c"}}),
            agent.create(LEASES, lease),
            agent.list(NAMESPACES),
            agent.list(NETWORKPOLICIES),
        ):
            with pytest.raises(Forbidden):
                await attempt


async def test_the_network_reads_who_is_where_and_writes_and_opens_nothing(server, pod):
    await placed(server, pod, "theirs", "node-b")
    async with identity(server, "network") as network:
        for resource in (PODS, SERVICES, ENDPOINTSLICES, NETWORKPOLICIES, NAMESPACES, NODES):
            await network.list(resource)
        for attempt in (
            network.list(SECRETS),
            network.get(SECRETS, "s", "default"),
            network.list(CONFIGMAPS),
            network.delete(PODS, "theirs", "default"),
            network.create(PODS, pod("new")),
        ):
            with pytest.raises(Forbidden):
                await attempt
