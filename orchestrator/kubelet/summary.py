"""What a node and its pods use, in the shape of kubelet's `/stats/summary`: the source of metrics.k8s.io."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from orchestrator.kubelet.agent import NodeAgent
from orchestrator.kubelet.pod import latest
from orchestrator.kubelet.runtime import Usage
from orchestrator.kubelet.worker import PodWorker
from orchestrator.objects.times import micro_timestamp, timestamp

TICKS = 100  # of /proc/stat a second
PROC = Path("/proc")


async def render_summary(agent: NodeAgent) -> dict[str, Any]:
    pods = [await render_pod(worker) for worker in list(agent.workers.values())]
    node: dict[str, Any] = {"nodeName": agent.name}
    if agent.services.runtime.name == "docker":
        node |= host_usage((PROC / "stat").read_text(), (PROC / "meminfo").read_text(), time.time())
    else:
        node |= total_usage(pods, time.time())
    return {"node": node, "pods": [pod for pod in pods if pod["containers"]]}


async def render_pod(worker: PodWorker) -> dict[str, Any]:
    containers = []
    for name in worker.seen.history:
        status = latest(worker.seen.history, name)
        usage = await worker.services.runtime.usage(status) if status is not None else None
        if status is not None and usage is not None:
            containers.append(
                {"name": name, "startTime": timestamp(status.started_at), **render_usage(usage, time.time())}
            )
    return {
        "podRef": {"name": worker.ref.name, "namespace": worker.ref.namespace, "uid": worker.ref.uid},
        "startTime": timestamp(worker.seen.start_time),
        "containers": containers,
    }


def render_usage(usage: Usage, now: float) -> dict[str, Any]:
    """`usageCoreNanoSeconds` counts up since the start; who asks twice has the rate between."""
    moment = micro_timestamp(now)
    return {
        "cpu": {"time": moment, "usageCoreNanoSeconds": usage.cpu_nanoseconds},
        "memory": {"time": moment, "workingSetBytes": usage.memory_working_set, "usageBytes": usage.memory_usage},
    }


def host_usage(stat: str, meminfo: str, now: float) -> dict[str, Any]:
    """Out of /proc/stat and /proc/meminfo."""
    user, nice, system, _, _, irq, softirq, *_ = (int(word) for word in stat.splitlines()[0].split()[1:])
    figures = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in meminfo.splitlines() if ":" in line}
    used = figures["MemTotal"] - figures["MemAvailable"]
    busy = (user + nice + system + irq + softirq) * 10**9 // TICKS
    return render_usage(Usage(busy, used, figures["MemTotal"] - figures["MemFree"]), now)


def total_usage(pods: list[dict[str, Any]], now: float) -> dict[str, Any]:
    containers = [container for pod in pods for container in pod["containers"]]
    cpu = sum(container["cpu"]["usageCoreNanoSeconds"] for container in containers)
    memory = sum(container["memory"]["workingSetBytes"] for container in containers)
    return render_usage(Usage(cpu, memory, memory), now)
