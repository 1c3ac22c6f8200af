"""The text of /metrics."""

from __future__ import annotations

from collections.abc import Mapping


def render_metrics(values: Mapping[str, tuple[str, Mapping[str, float]]]) -> str:
    """Prometheus text of {name: (help, {label text: value})}."""
    lines = []
    for name, (told, series) in values.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {value:.6g}" for labels, value in series.items()]
    return "\n".join(lines) + "\n"
