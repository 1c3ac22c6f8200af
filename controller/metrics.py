"""Counters for Prometheus, in this process' memory."""

import threading
from collections import defaultdict

_lock = threading.Lock()
_requests: dict[tuple[str, str, int], int] = defaultdict(int)
_seconds: dict[str, float] = defaultdict(float)


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    with _lock:
        _requests[method, route, status] += 1
        _seconds[route] += seconds


def render(gauges: dict[str, float]) -> str:
    """The exposition text: requests by route and status, time spent, and `gauges` as they are."""
    with _lock:
        requests, seconds = dict(_requests), dict(_seconds)
    lines = ["# TYPE controller_requests_total counter"]
    for (method, route, status), count in sorted(requests.items()):
        labels = f'method="{method}",route="{_escaped(route)}",status="{status}"'
        lines.append(f"controller_requests_total{{{labels}}} {count}")
    lines.append("# TYPE controller_request_seconds_total counter")
    for route, total in sorted(seconds.items()):
        lines.append(f'controller_request_seconds_total{{route="{_escaped(route)}"}} {total:.3f}')
    for name, value in sorted(gauges.items()):
        lines += [f"# TYPE {name} gauge", f"{name} {value:g}"]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
