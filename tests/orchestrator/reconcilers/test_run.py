"""All reconcilers and the scheduler in the real server's process, on its real store; only the kubelet is simulated."""

import asyncio
import copy
import time

import pytest

from orchestrator.apiserver.main import Server
from orchestrator.errors import NotFound
from orchestrator.objects.kinds import (
    CONFIGMAPS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    EVENTS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    REPLICASETS,
    SERVICES,
)
from orchestrator.objects.meta import is_deleting, key_of
from orchestrator.settings import ServerSettings

NODE = {
    "metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}},
    "status": {
        "allocatable": {"cpu": "8", "memory": "16Gi", "pods": "110"},
        "capacity": {"cpu": "8", "memory": "16Gi", "pods": "110"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
    },
}


def ready(pod, number):
    status = copy.deepcopy(pod["status"])
    done = pod["spec"]["restartPolicy"] == "Never"
    status.update(phase="Succeeded" if done else "Running", podIP=f"10.244.0.{number % 250 + 2}")
    others = [one for one in status.get("conditions", ()) if one["type"] != "Ready"]
    status["conditions"] = [*others, {"type": "Ready", "status": "False" if done else "True"}]
    return {**pod, "status": status}


async def kubelet(client):
    """Every bound pod runs, every deleted one ends, as soon as it is seen."""
    number = 0
    start = await client.list(PODS)
    async for event in client.watch(PODS, resource_version=start.resource_version):
        pod = event.object
        key = key_of(pod)
        if event.type == "DELETED" or not pod["spec"].get("nodeName"):
            continue
        number += 1
        try:
            current = await client.get(PODS, key.name, key.namespace)
            if is_deleting(current):
                await client.delete(PODS, key.name, key.namespace, grace_period=0)
            elif current["status"]["phase"] == "Pending":
                await client.update(PODS, ready(current, number), subresource="status")
        except NotFound:
            continue


@pytest.fixture
async def client(tmp_path):
    server = Server(ServerSettings(data=tmp_path, port=0, node_name="n1"))
    await server.start()
    await server.client.create(NODES, NODE)
    task = asyncio.create_task(kubelet(server.client))
    yield server.client
    task.cancel()
    await server.stop()


async def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := await condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
    return found


def deployment(image="registry.test/app:1"):
    container = {"name": "main", "image": image}
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    }


async def test_a_deployment_comes_up_rolls_and_goes(client):
    service = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 5000}]}
    await client.create(SERVICES, {"metadata": {"name": "web", "namespace": "default"}, "spec": service})
    await client.create(DEPLOYMENTS, deployment())

    async def is_complete():
        found = await client.get(DEPLOYMENTS, "web", "default")
        status = found.get("status", {})
        counts = {status.get(one) for one in ("replicas", "updatedReplicas", "availableReplicas")}
        return counts == {3} and status["observedGeneration"] == found["metadata"]["generation"] and found

    await until(is_complete)
    template = deployment("registry.test/app:2")["spec"]["template"]
    await client.patch(DEPLOYMENTS, "web", "default", patch={"spec": {"template": template}})
    found = await until(is_complete)
    assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"

    async def addresses():
        pods = [one for one in (await client.list(PODS, "default")).items if not is_deleting(one)]
        slices = (await client.list(ENDPOINTSLICES, "default", label_selector="kubernetes.io/service-name=web")).items
        shown = {one["targetRef"]["name"] for part in slices for one in part["endpoints"] if one["conditions"]["ready"]}
        return shown == {key_of(one).name for one in pods} and len(shown) == 3

    await until(addresses)
    reasons = {one["reason"] for one in (await client.list(EVENTS, "default")).items}
    assert {"ScalingReplicaSet", "SuccessfulCreate", "SuccessfulDelete", "Scheduled"} <= reasons
    await client.delete(DEPLOYMENTS, "web", "default", propagation="Foreground")

    async def is_gone():
        left = [await client.list(kind, "default") for kind in (DEPLOYMENTS, REPLICASETS, PODS)]
        return not any(one.items for one in left)

    await until(is_gone)


async def test_a_namespace_is_furnished_and_goes_with_all_it_holds(client):
    await client.create(NAMESPACES, {"metadata": {"name": "app"}})

    async def has_authority():
        return [
            one for one in (await client.list(CONFIGMAPS, "app")).items if one["metadata"]["name"] == "kube-root-ca.crt"
        ]

    (published,) = await until(has_authority)
    assert "BEGIN CERTIFICATE" in published["data"]["ca.crt"]
    container = {"name": "main", "image": "registry.test/app:1"}
    spec = {"completions": 2, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    await client.create(JOBS, {"metadata": {"name": "work", "namespace": "app"}, "spec": spec})

    async def is_over():
        status = (await client.get(JOBS, "work", "app")).get("status", {})
        return any(one["type"] == "Complete" for one in status.get("conditions", ())) and status["succeeded"] == 2

    await until(is_over)
    await client.delete(NAMESPACES, "app")

    async def is_gone():
        return "app" not in {key_of(one).name for one in (await client.list(NAMESPACES)).items}

    await until(is_gone)
