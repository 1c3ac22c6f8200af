"""Limits: memory and CPU of each process type."""

from __future__ import annotations

from typing import Any

from cli import output
from cli.errors import UsageError
from cli.pairs import parse_pairs
from cli.session import Session
from cli.table import APP, JSON, WAITING, Arg, Option, command

CPU = Option("--cpu", "CPU: cores (0.5) or thousandths (500m)")
MEMORY = Option("--memory", "memory, such as 256M or 1G; the default", short="-m")


@command("limits:list", "List an app's limits", "paas limits", options=(APP, JSON), bare=True)
def list_limits(session: Session) -> None:
    config = session.api.get(session.app_path("config", ""))
    limits = {"memory": config.get("memory") or {}, "cpu": config.get("cpu") or {}}
    if session.shown_as_json(limits):
        return
    output.heading(f"{session.app} Limits")
    for title, key in (("Memory", "memory"), ("CPU", "cpu")):
        output.line()
        output.line(f"--- {title}")
        output.pairs(sorted(limits[key].items()), gap=5)
        if not limits[key]:
            output.line("Unlimited")


@command(
    "limits:set",
    "Limit memory or CPU of process types",
    "paas limits:set web=256M worker=128M/512M",
    args=(Arg("type=limit", "one value is the limit, two are request/limit", many=True, dest="pairs"),),
    options=(CPU, MEMORY, APP, JSON, *WAITING),
)
def set_limits(session: Session, pairs: list[str], cpu: bool | None, memory: bool | None) -> None:
    apply(session, section(cpu, memory), parse_pairs(pairs))


@command(
    "limits:unset",
    "Remove limits",
    "paas limits:unset web --cpu",
    args=(Arg("type", many=True),),
    options=(CPU, MEMORY, APP, JSON, *WAITING),
)
def unset_limits(session: Session, type: list[str], cpu: bool | None, memory: bool | None) -> None:
    apply(session, section(cpu, memory), dict.fromkeys(type))


def section(cpu: bool | None, memory: bool | None) -> str:
    if cpu and memory:
        raise UsageError("Either --cpu or --memory, one at a time.")
    return "cpu" if cpu else "memory"


def apply(session: Session, name: str, values: dict[str, Any]) -> None:
    with output.progress("Applying limits...", quiet=session.json):
        session.deploy(session.app_path("config", ""), {name: values})
    if not session.json:
        output.line()
    list_limits(session)
