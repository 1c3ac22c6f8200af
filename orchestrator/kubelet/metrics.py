"""The agent's own figures, in Prometheus' text format."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Mapping

from orchestrator.kubelet.agent import NodeAgent


def render_metrics(nodes: Mapping[str, NodeAgent]) -> str:
    lines = [
        "# HELP kubelet_running_pods Number of pods that have a worker.",
        "# TYPE kubelet_running_pods gauge",
        *(f'kubelet_running_pods{{node="{name}"}} {len(node.workers)}' for name, node in nodes.items()),
        "# HELP kubelet_running_containers Containers by their state.",
        "# TYPE kubelet_running_containers gauge",
    ]
    for name, node in nodes.items():
        states = Counter(status.state for worker in node.workers.values() for status in worker.attempts.all())
        lines += [
            f'kubelet_running_containers{{node="{name}",container_state="{state}"}} {count}'
            for state, count in sorted(states.items())
        ]
    used = resource.getrusage(resource.RUSAGE_SELF)
    lines += [
        "# TYPE process_cpu_seconds_total counter",
        f"process_cpu_seconds_total {used.ru_utime + used.ru_stime:.2f}",
        "# TYPE process_max_resident_memory_bytes gauge",
        f"process_max_resident_memory_bytes {used.ru_maxrss * 1024}",
    ]
    return "\n".join(lines) + "\n"
