"""Pods on a real engine: started, scaled, updated, healed, beside the bare engine and Docker Swarm."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, sleep

from bench.orchestrator_cluster import Api, Cluster, Obj, busy, cpu_seconds, deployment, is_true, memory, pod, until
from bench.orchestrator_engine import IMAGE, STAY, Engine, Swarm, engine, run_one, start_many
from bench.report import Row, median

PODS, DEPLOYMENTS = "/api/v1/namespaces/default/pods", "/apis/apps/v1/namespaces/default/deployments"
ONE_RUNS, RUNS = 7, 3
POOL_REST = 4.0  # seconds for the pool of sandboxes to fill again
SETTLE, IDLE = 8.0, 15.0  # seconds before, and of, the idle measurement
REPLICAS, UPDATED = 20, 10


def measure() -> list[Row]:
    with engine() as host, tempfile.TemporaryDirectory(prefix="paas-bench-") as folder:
        with Cluster(Path(folder)) as cluster:
            cluster.start_agent(docker_host=host.host)
            sleep(POOL_REST)
            rows = _idle(cluster)
            rows += _one(cluster.api, host)
            ours = _ours(cluster.api, host)
        with _swarm(host) as swarm:
            return rows + _against(host, ours, swarm)


@contextlib.contextmanager
def _swarm(host: Engine) -> Iterator[Swarm | None]:
    if not host.own:
        yield None
        return
    swarm = Swarm(host)
    try:
        yield swarm
    finally:
        swarm.close()


def _idle(cluster: Cluster) -> list[Row]:
    sleep(SETTLE)
    pids = [cluster.pid("server"), cluster.pid("agent")]
    before = sum(map(cpu_seconds, pids))
    sleep(IDLE)
    used = (sum(map(cpu_seconds, pids)) - before) / IDLE * 100
    size = sum(map(memory, pids))
    return [
        Row("idle memory, server and agent", size, "MB", "Kubernetes (published)", 640, note=f"bar 150 MB; {busy()}"),
        Row("idle CPU, server and agent", used, "%", "Kubernetes (published)", 5, note=f"of a core; bar 2 %; {busy()}"),
    ]


def _one(api: Api, host: Engine) -> list[Row]:
    """In turns with the engine, so that the machine's other work meets both."""
    ours, raw, client = [], [], host.client()
    for number in range(ONE_RUNS):
        ours.append(_until_ready(api, f"one-{number}"))
        api.delete(f"{PODS}/one-{number}")
        raw.append(run_one(client))
        sleep(0.5)
    note = f"bar 1.5 × and 0.5 s; {busy()}"
    return [
        Row("one pod created → Ready", median(ours), "s", "docker run -d by the SDK", median(raw), ONE_RUNS, note),
        Row("one pod created → Ready", median(ours), "s", "Kubernetes (published, its best)", 0.6, ONE_RUNS),
    ]


def _until_ready(api: Api, name: str) -> float:
    with api.watch(PODS) as watch:
        started = perf_counter()
        api.post(PODS, pod(name, IMAGE, container={"command": STAY}))
        for _, obj in watch:
            if obj["metadata"]["name"] == name and is_true(obj, "Ready"):
                return perf_counter() - started
    raise AssertionError("the watch says itself when it ends")


def _ours(api: Api, host: Engine) -> dict[str, list[float]]:
    """The scale-ups in turns with the bare engine's."""
    scales, shared = [], []
    for number in range(RUNS):
        scales.append(_scale(api, f"scale-{number}"))
        shared.append(start_many(host, REPLICAS, bridge=False))
        sleep(POOL_REST)
    return {
        "scale": scales,
        "shared": shared,
        "update": _update(api),
        "heal": [_heal(api, host, f"heal-{number}") for number in range(RUNS)],
    }


def _scale(api: Api, name: str) -> float:
    api.post(DEPLOYMENTS, deployment(name, IMAGE, 1, STAY))
    until(lambda: _available(api, name) == 1, "one replica")
    sleep(POOL_REST)
    with api.watch(PODS) as watch:
        started, ready = perf_counter(), {name}
        api.patch(f"{DEPLOYMENTS}/{name}", {"spec": {"replicas": REPLICAS}})
        for _, obj in watch:
            if obj["metadata"]["labels"].get("app") == name and is_true(obj, "Ready"):
                ready.add(obj["metadata"]["name"])
            if len(ready) == REPLICAS:
                break
        taken = perf_counter() - started
    _remove(api, name)
    return taken


def _available(api: Api, name: str) -> int:
    return int(api.get(f"{DEPLOYMENTS}/{name}").get("status", {}).get("availableReplicas", 0))


def _remove(api: Api, name: str) -> None:
    api.delete(f"{DEPLOYMENTS}/{name}")
    until(lambda: not api.get(f"{PODS}?labelSelector=app%3D{name}")["items"], f"the end of {name}", 60, 0.2)
    sleep(POOL_REST)


def _update(api: Api) -> list[float]:
    """Five at a time, new ones first, until ten new ones are Ready and no old one counts any more."""
    limits = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 5, "maxUnavailable": 0}}
    api.post(DEPLOYMENTS, deployment("update", IMAGE, UPDATED, STAY, strategy=limits))
    until(lambda: _available(api, "update") == UPDATED, "ten replicas")
    sleep(POOL_REST)
    taken = [_roll(api, number) for number in range(RUNS)]
    _remove(api, "update")
    return taken


def _roll(api: Api, number: int) -> float:
    sleep(POOL_REST)
    marked = {"spec": {"template": {"metadata": {"annotations": {"round": str(number)}}}}}
    with api.watch(DEPLOYMENTS) as watch:
        started = perf_counter()
        api.patch(f"{DEPLOYMENTS}/update", marked)
        for _, obj in watch:
            if obj["metadata"]["generation"] > number + 1 and _rolled(obj):
                return perf_counter() - started
    raise AssertionError("the watch says itself when it ends")


def _rolled(obj: Obj) -> bool:
    status = obj.get("status") or {}
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return status.get("observedGeneration") == obj["metadata"]["generation"] and counts == [UPDATED] * 3


def _heal(api: Api, host: Engine, name: str) -> float:
    _until_ready(api, name)
    found = api.get(f"{PODS}/{name}")["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    container = host.client().containers.get(found)
    with api.watch(PODS) as watch:
        started = perf_counter()
        container.kill()
        for _, obj in watch:
            statuses = obj["status"].get("containerStatuses") or [{}]
            if obj["metadata"]["name"] == name and statuses[0].get("restartCount") and statuses[0].get("ready"):
                break
        taken = perf_counter() - started
    api.delete(f"{PODS}/{name}")
    return taken


def _against(host: Engine, ours: dict[str, list[float]], swarm: Swarm | None) -> list[Row]:
    scale, shared, update, heal = (median(ours[key]) for key in ("scale", "shared", "update", "heal"))
    bridge = median([start_many(host, REPLICAS, bridge=True) for _ in range(RUNS)])
    what = "Deployment 1 → 20, all Ready"
    rows = [
        Row(what, scale, "s", "bare engine, shared network, 4 workers", shared, RUNS, f"bar 1.3 ×; {busy()}"),
        Row(what, scale, "s", "bare engine, bridge, 4 workers", bridge, RUNS),
        Row(what, scale, "s", "Kubernetes (published, its best)", 3.7, RUNS),
    ]
    if swarm is None:
        return [
            *rows,
            Row("rolling update of 10, five at a time", update, "s", runs=RUNS, note=host.note),
            Row("dead container → replaced and Ready", heal, "s", runs=RUNS, note=host.note),
        ]
    return rows + _against_swarm(swarm, scale, update, heal)


def _against_swarm(swarm: Swarm, scale: float, update: float, heal: float) -> list[Row]:
    theirs = []
    for number in range(RUNS):
        service = swarm.service(f"scale-{number}", 1)
        theirs.append(swarm.scale(service, REPLICAS))
        service.remove()
        sleep(POOL_REST)
    service = swarm.service("update", UPDATED)
    updates = [swarm.update(service, UPDATED) for _ in range(RUNS)]
    service.remove()
    service = swarm.service("heal", 1)
    heals = [swarm.heal(service) for _ in range(RUNS)]
    note = f"bar: faster; {busy()}"
    return [
        Row("Deployment 1 → 20, all Ready", scale, "s", "Docker Swarm service scale", median(theirs), RUNS, note),
        Row(
            "rolling update of 10, five at a time",
            update,
            "s",
            "Docker Swarm, start-first",
            median(updates),
            RUNS,
            note,
        ),
        Row(
            "dead container → replaced and Ready", heal, "s", "Docker Swarm, restart delay 0", median(heals), RUNS, note
        ),
    ]
