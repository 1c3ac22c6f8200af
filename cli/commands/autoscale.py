"""Autoscale: process counts that follow the CPU load."""

from __future__ import annotations

from cli import output
from cli.errors import UsageError
from cli.session import Session
from cli.table import APP, JSON, Arg, Option, command

TYPE = Arg("type", "a process type, such as web")


@command("autoscale:list", "List what scales by itself", "paas autoscale", options=(APP, JSON), bare=True)
def list_autoscale(session: Session) -> None:
    rules = session.api.get(session.app_path("settings", "")).get("autoscale") or {}
    if session.shown_as_json(rules):
        return
    output.heading(f"{session.app} Autoscale")
    for kind, rule in sorted(rules.items()):
        output.line()
        output.line(f"--- {kind}:")
        rows = [("Min Replicas", rule["min"]), ("Max Replicas", rule["max"]), ("CPU", f"{rule['cpu_percent']}%")]
        output.pairs(rows, suffix=":")
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
        APP,
    ),
)
def set_autoscale(session: Session, type: str, min: int | None, max: int | None, cpu_percent: int | None) -> None:
    if min is None or max is None or cpu_percent is None:
        raise UsageError("autoscale:set needs --min, --max and --cpu-percent.")
    rule = {"min": min, "max": max, "cpu_percent": cpu_percent}
    with output.progress(f"Applying autoscale settings for process type {type} on {session.app}..."):
        session.api.post(session.app_path("settings", ""), {"autoscale": {type: rule}})


@command("autoscale:unset", "Stop scaling by itself", "paas autoscale:unset web", args=(TYPE,), options=(APP,))
def unset_autoscale(session: Session, type: str) -> None:
    with output.progress(f"Removing autoscale for process type {type} on {session.app}..."):
        session.api.post(session.app_path("settings", ""), {"autoscale": {type: None}})
