"""Many nodes and pods: how fast pods get a node, and how long until thousands run on simulated nodes."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from time import perf_counter, sleep

from bench.orchestrator_api import connected
from bench.orchestrator_cluster import Cluster, Obj, busy, deployment, memory, peak_memory, pod
from bench.report import Row, median
from orchestrator.http_client import HttpClient
from orchestrator.objects.kinds import DEPLOYMENTS, NODES, PODS

BOUND_NODES, BOUND_PODS, BOUND_RUNS, AT_ONCE = 1000, 2000, 3, 32
SIMULATED_NODES, SIMULATED_PODS, SETS = 500, 5000, 50
DEADLINE = 240.0  # seconds
PUBLISHED_RATE = 266.0  # pods a second, Kubernetes with its rate limits lifted: its best


def measure() -> list[Row]:
    return [_bound(), *_running()]


def _bound() -> Row:
    """Each time on a server of its own: bound pods stay in a cluster."""
    rates = []
    for _ in range(BOUND_RUNS):
        with tempfile.TemporaryDirectory(prefix="paas-bench-") as folder, Cluster(Path(folder)) as cluster:
            rates.append(asyncio.run(_bind_all(cluster)))
    note = f"{BOUND_NODES:,} nodes, {BOUND_PODS:,} differing pods, {AT_ONCE} requests at a time; bar 3 ×; {busy()}"
    against = "Kubernetes (published, its best)"
    return Row("created → bound", median(rates), "pods/s", against, PUBLISHED_RATE, BOUND_RUNS, note)


async def _bind_all(cluster: Cluster) -> float:
    """Pods a second, from the first create to the last binding as a watcher sees it."""
    async with connected(cluster) as client:
        await _each(lambda number: client.create(NODES, _node(number)), BOUND_NODES)
        await asyncio.sleep(2)
        version = (await client.list(PODS, "default")).resource_version
        watching = asyncio.create_task(_until_bound(client, version))
        await asyncio.sleep(0.2)
        started = perf_counter()
        await _each(lambda number: client.create(PODS, _differing(number)), BOUND_PODS)
        await asyncio.wait_for(watching, DEADLINE)
        return BOUND_PODS / (perf_counter() - started)


async def _until_bound(client: HttpClient, version: str) -> None:
    bound = set()
    async for event in client.watch(PODS, "default", resource_version=version):
        if event.object["spec"].get("nodeName"):
            bound.add(event.object["metadata"]["name"])
        if len(bound) == BOUND_PODS:
            return


async def _each(create, count: int) -> None:
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await create(number)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def _node(number: int) -> Obj:
    name, room = f"node-{number:04d}", {"cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": f"z{number % 3}"}},
        "status": {
            "capacity": room,
            "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Simulated"}],
        },
    }


def _differing(number: int) -> Obj:
    """No two have the same labels, and few the same needs."""
    needs = {"cpu": f"{10 + number % 97}m", "memory": f"{16 + number % 89}Mi"}
    one = pod(f"pod-{number}", container={"resources": {"requests": needs}})
    one["metadata"]["labels"] = {"app": f"app-{number % 50}", "number": str(number)}
    return one


def _running() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="paas-bench-") as folder, Cluster(Path(folder)) as cluster:
        cluster.start_agent(nodes=SIMULATED_NODES, ready=SIMULATED_NODES)
        sleep(3)
        taken = asyncio.run(_run_all(cluster))
        sleep(2)
        size, peak = memory(cluster.pid("server")), peak_memory(cluster.pid("server"))
        agent = memory(cluster.pid("agent"))
    what = f"{SIMULATED_NODES} simulated nodes, {SIMULATED_PODS:,} pods"
    note = f"{SETS} Deployments; {busy()}"
    return [
        Row(f"{what}: created → all Running", taken, "s", "bar", 60, 1, note),
        Row(f"{what}: memory of the server", size, "MB", "bar", 600, 1, f"peak {peak:.0f} MB; agent {agent:.0f} MB"),
    ]


async def _run_all(cluster: Cluster) -> float:
    async with connected(cluster) as client:
        version = (await client.list(PODS, "default")).resource_version
        watching = asyncio.create_task(_until_running(client, version))
        started = perf_counter()
        each = SIMULATED_PODS // SETS
        await asyncio.gather(
            *(
                client.create(DEPLOYMENTS, deployment(f"set-{number}", "registry.example/none:1", each))
                for number in range(SETS)
            )
        )
        await asyncio.wait_for(watching, DEADLINE)
        return perf_counter() - started


async def _until_running(client: HttpClient, version: str) -> None:
    running = set()
    async for event in client.watch(PODS, "default", resource_version=version):
        if (event.object.get("status") or {}).get("phase") == "Running":
            running.add(event.object["metadata"]["name"])
        if len(running) == SIMULATED_PODS:
            return
