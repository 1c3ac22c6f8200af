"""Counters of this process in Prometheus' text format."""

from __future__ import annotations

import resource
from bisect import bisect_left
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.apiserver.api import Api

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # seconds


class Metrics:
    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self._durations: dict[str, list[int]] = {}
        self._sums: defaultdict[str, float] = defaultdict(float)

    def observe(self, verb: str, resource_name: str, code: int, seconds: float) -> None:
        self.requests[verb, resource_name, code] += 1
        if verb != "watch":
            buckets = self._durations.setdefault(verb, [0] * (len(_BOUNDS) + 1))
            buckets[bisect_left(_BOUNDS, seconds)] += 1
            self._sums[verb] += seconds

    def render(self, api: Api) -> str:
        lines = ["# TYPE apiserver_request_total counter"]
        for (verb, name, code), count in sorted(self.requests.items()):
            lines.append(f'apiserver_request_total{{verb="{verb}",resource="{name}",code="{code}"}} {count}')
        lines.append("# TYPE apiserver_request_duration_seconds histogram")
        for verb, buckets in sorted(self._durations.items()):
            total = 0
            for bound, count in zip((*map(str, _BOUNDS), "+Inf"), buckets, strict=True):
                total += count
                lines.append(f'apiserver_request_duration_seconds_bucket{{verb="{verb}",le="{bound}"}} {total}')
            lines.append(f'apiserver_request_duration_seconds_sum{{verb="{verb}"}} {self._sums[verb]:.6f}')
            lines.append(f'apiserver_request_duration_seconds_count{{verb="{verb}"}} {total}')
        lines.append("# TYPE apiserver_storage_objects gauge")
        for name, count in sorted(api.store.counts().items()):
            lines.append(f'apiserver_storage_objects{{resource="{name}"}} {count}')
        lines.append("# TYPE apiserver_registered_watchers gauge")
        for name, count in sorted(api.store.watch_counts().items()):
            lines.append(f'apiserver_registered_watchers{{resource="{name}"}} {count}')
        usage = resource.getrusage(resource.RUSAGE_SELF)
        lines += [
            "# TYPE apiserver_storage_revision counter",
            f"apiserver_storage_revision {api.store.revision}",
            "# TYPE process_cpu_seconds_total counter",
            f"process_cpu_seconds_total {usage.ru_utime + usage.ru_stime:.2f}",
            "# TYPE process_max_resident_memory_bytes gauge",
            f"process_max_resident_memory_bytes {usage.ru_maxrss * 1024}",
        ]
        return "\n".join(lines) + "\n"
