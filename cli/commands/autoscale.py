"""Autoscale: process counts that follow the CPU load."""

from __future__ import annotations

from cli import output
from cli.errors import UsageError
from cli.session import Session
from cli.table import APP, JSON, Arg, Option, command

TYPE = Arg("type", "a process type, such as web")


TARGETS = (
    ("cpu_percent", "CPU", "%"),
    ("memory_percent", "Memory", "%"),
    ("requests_per_second", "Requests per second", ""),
    ("latency_ms", "Latency", " ms"),
)


@command("autoscale:list", "List what scales by itself", "paas autoscale", options=(APP, JSON), bare=True)
def list_autoscale(session: Session) -> None:
    rules = session.api.get(session.app_path("settings", "")).get("autoscale") or {}
    if session.shown_as_json(rules):
        return
    output.heading(f"{session.app} Autoscale")
    for kind, rule in sorted(rules.items()):
        output.line()
        output.line(f"--- {kind}:")
        rows = [("Min Replicas", rule["min"]), ("Max Replicas", rule["max"])]
        rows += [(label, f"{rule[name]}{unit}") for name, label, unit in TARGETS if name in rule]
        for label, value in rows:
            output.line(f"{label}: {value}")
    if not rules:
        output.line("No autoscale rules; the counts are those of `paas scale`.")


@command(
    "autoscale:set",
    "Let a process type scale by itself",
    "paas autoscale:set web --min=2 --max=8 --cpu-percent=70",
    args=(TYPE,),
    options=(
        Option("--min", "at least this many", value="N", number=True),
        Option("--max", "at most this many", value="N", number=True),
        Option("--cpu-percent", "the CPU use to aim at", value="PERCENT", number=True),
        Option("--memory-percent", "the memory use to aim at", value="PERCENT", number=True),
        Option("--requests-per-second", "of each process, as the router counts them", value="N", number=True),
        Option("--latency-ms", "what 95 of 100 requests are to take at most", value="MS", number=True),
        APP,
    ),
    details="CPU and memory may be combined, and so may requests and latency, which are of web alone. Of two targets "
    "the one that asks for more processes decides. Counts go up at once, and down after five quiet minutes.",
)
def set_autoscale(session: Session, type: str, min: int | None, max: int | None, **values: int | None) -> None:
    targets = {name: values[name] for name, _, _ in TARGETS if values.get(name) is not None}
    if min is None or max is None or not targets:
        raise UsageError(
            "autoscale:set needs --min, --max and --cpu-percent, "
            "or one of --memory-percent, --requests-per-second and --latency-ms."
        )
    rule = {"min": min, "max": max, **targets}
    with output.progress(f"Applying autoscale settings for process type {type} on {session.app}..."):
        session.api.post(session.app_path("settings", ""), {"autoscale": {type: rule}})


@command("autoscale:unset", "Stop scaling by itself", "paas autoscale:unset web", args=(TYPE,), options=(APP,))
def unset_autoscale(session: Session, type: str) -> None:
    with output.progress(f"Removing autoscale for process type {type} on {session.app}..."):
        session.api.post(session.app_path("settings", ""), {"autoscale": {type: None}})
