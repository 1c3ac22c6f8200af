"""Processes: how many of each type run, and in what state."""

from __future__ import annotations

import re
import time
from typing import Any

from cli import output
from cli.client import DEPLOY
from cli.commands import ps_sessions  # noqa: F401 - its commands belong to this noun
from cli.errors import NotFound, OutOfTime, UnknownRoute, UsageError
from cli.session import Session
from cli.table import APP, JSON, WAITING, Arg, Option, command

CHANGE = re.compile(r"([a-z0-9]+(?:-[a-z0-9]+)*)([=+-])(\d+)")
POLL_SECONDS = 1.0
UP = "up"


@command("ps:list", "List the processes of an app", "paas ps", options=(APP, JSON), bare=True)
def list_processes(session: Session) -> None:
    pods = session.api.get(session.app_path("pods", ""), limit=1000)["results"]
    if not session.shown_as_json(pods):
        show_processes(session.app, pods)


def show_processes(app: str, pods: list[dict[str, Any]]) -> None:
    """`=== A Processes`, then each type with its processes, both sorted."""
    output.heading(f"{app} Processes")
    if not pods:
        output.line("No process runs; `paas explain` says why.")
    for kind in sorted({pod["type"] for pod in pods}):
        output.line(f"--- {kind}:")
        for pod in sorted((pod for pod in pods if pod["type"] == kind), key=lambda pod: pod["name"]):
            output.line(f"{pod['name']} {pod['state']} ({pod['release']})")


@command(
    "ps:scale",
    "Set how many processes of each type run",
    "paas scale web=3 worker+1",
    args=(
        Arg(
            "type=n",
            "web=3 sets, worker+1 and worker-1 change; none prints the present counts",
            required=False,
            many=True,
            dest="changes",
        ),
    ),
    options=(APP, JSON, *WAITING),
)
def scale(session: Session, changes: list[str]) -> None:
    parsed = [parse_change(text) for text in changes]
    if not parsed or any(sign != "=" for _, sign, _ in parsed):
        structure = session.api.get(session.app_path(""))["structure"]
        if not parsed:
            if not session.shown_as_json(structure):
                output.line(" ".join(f"{kind}={count}" for kind, count in sorted(structure.items())))
            return
        wanted = plan_scale(structure, parsed)
    else:
        wanted = plan_scale({}, parsed)
    with output.long_step(f"Scaling processes... but first, {output.drink()}!", quiet=session.json):
        session.deploy(session.app_path("scale", ""), wanted)
    list_processes(session)


def parse_change(text: str) -> tuple[str, str, int]:
    """`web=3` as (web, =, 3)."""
    found = CHANGE.fullmatch(text)
    if not found:
        raise UsageError(f"'{text}' is no process count; write web=3, worker+1 or worker-1.")
    return found[1], found[2], int(found[3])


def plan_scale(present: dict[str, int], changes: list[tuple[str, str, int]]) -> dict[str, int]:
    """The counts to ask for; a count never goes below 0."""
    wanted: dict[str, int] = {}
    for kind, sign, number in changes:
        now = wanted.get(kind, present.get(kind, 0))
        wanted[kind] = number if sign == "=" else max(0, now + number if sign == "+" else now - number)
    return wanted


@command(
    "ps:restart",
    "Restart processes: all, those of a type, or one",
    "paas ps:restart web",
    args=(Arg("process", "a type (web), or one process as `paas ps` names it", required=False),),
    options=(APP, JSON),
)
def restart(session: Session, process: str | None) -> None:
    kind, name = ("", "") if process is None else locate(session, process)
    segments = [part for part in (kind, name) if part]
    with output.long_step(f"Restarting processes... but first, {output.drink()}!", quiet=session.json):
        pods = session.api.post(session.app_path("pods", *segments, "restart", ""), timeout=DEPLOY)
    if session.shown_as_json(pods):
        return
    if not pods:
        output.line("Could not find any processes to restart")
        return
    show_processes(session.app, pods)


def locate(session: Session, process: str) -> tuple[str, str]:
    """(type, name) of what the user calls `process`: a type, a full name, or a name without the app before it."""
    pods = session.api.get(session.app_path("pods", ""), limit=1000)["results"]
    for pod in pods:
        if process in (pod["name"], pod["name"].removeprefix(f"{session.app}-"), short_name(pod)):
            return pod["type"], pod["name"]
    return process, ""


def short_name(pod: dict[str, Any]) -> str:
    return f"{pod['type']}-{pod['name'].rpartition('-')[2]}"


@command(
    "ps:wait",
    "Wait until every process that should run is up",
    "paas ps:wait --timeout=60",
    options=(Option("--timeout", "seconds at most", value="SECONDS", default=120, number=True), APP),
)
def wait(session: Session, timeout: int) -> None:
    deadline = time.monotonic() + timeout
    structure = session.api.get(session.app_path(""))["structure"]
    wanted = sum(structure.values())
    with output.progress(f"Waiting for {session.app}...") as step:
        while True:
            pods = session.api.get(session.app_path("pods", ""), limit=1000)["results"]
            if len(pods) == wanted and all(pod["state"] == UP for pod in pods):
                step.result = f"{wanted} up"
                return
            if time.monotonic() >= deadline:
                up = sum(pod["state"] == UP for pod in pods)
                raise OutOfTime(f"After {timeout} s {up} of {wanted} processes are up; `paas logs` may tell why.")
            time.sleep(POLL_SECONDS)


@command(
    "ps:stop",
    "Stop process types; how many ran is remembered",
    "paas ps:stop worker",
    args=(Arg("type", "none means every type", required=False, many=True),),
    options=(APP, *WAITING),
)
def stop(session: Session, type: list[str]) -> None:
    structure = session.api.get(session.app_path(""))["structure"]
    running = [kind for kind in type or sorted(structure) if type or structure[kind]]
    if not running:
        output.line("Could not find any processes to stop")
        return
    with output.progress(f"Stopping {', '.join(running)}..."):
        try:
            session.deploy(session.app_path("ps", "stop"), {"types": running})
        except UnknownRoute:  # a Deis controller: nothing is remembered there
            session.deploy(session.app_path("scale", ""), dict.fromkeys(running, 0))


@command(
    "ps:start",
    "Start what ps:stop stopped, with as many processes as before",
    "paas ps:start worker",
    args=(Arg("type", "none means every type that was stopped", required=False, many=True),),
    options=(APP, JSON, *WAITING),
)
def start(session: Session, type: list[str]) -> None:
    with output.long_step(f"Starting processes... but first, {output.drink()}!", quiet=session.json):
        session.deploy(session.app_path("ps", "start"), {"types": type or []})
    list_processes(session)


@command(
    "ps:type",
    "Show or change the size of processes: memory and CPU together",
    "paas ps:type web=small worker=large",
    args=(
        Arg("type=size", "none shows the present ones; `default` takes limits away", required=False, many=True,
            dest="changes"),
    ),
    options=(APP, JSON, *WAITING),
)  # fmt: skip
def resize(session: Session, changes: list[str]) -> None:
    where = session.app_path("ps", "sizes")
    wanted = dict(parse_size(text) for text in changes)
    if wanted:
        with output.progress("Changing sizes...", quiet=session.json):
            session.deploy(where, {"sizes": wanted})
    rows = session.api.get(where)
    if session.shown_as_json(rows):
        return
    output.heading(f"{session.app} Process Sizes")
    cells = [
        (kind, row["size"] or "custom", row["memory"] or "unlimited", row["cpu"] or "unlimited", row["count"])
        for kind, row in sorted(rows.items())
    ]
    output.table(("Type", "Size", "Memory", "CPU", "Count"), cells)
    if not wanted:
        sizes = session.api.get("/v2/sizes/")
        described = [f"{name} ({size['memory']}, {size['cpu']})" for name, size in sizes.items()]
        output.note(f"Sizes: {', '.join(described)}")


def parse_size(text: str) -> tuple[str, str]:
    kind, equals, size = text.partition("=")
    if not (kind and equals and size):
        raise UsageError(f"'{text}' is no size of a process type; write web=small.")
    return kind, size


@command(
    "ps:kill",
    "End one process; another one takes its place",
    "paas ps:kill web-7x2kp",
    args=(Arg("process", "as `paas ps` names it"),),
    options=(APP,),
)
def kill(session: Session, process: str) -> None:
    kind, name = locate(session, process)
    if not name:
        raise NotFound(f"{session.app} has no process {process}; `paas ps` lists them.")
    with output.progress(f"Killing {name}..."):
        session.api.post(session.app_path("pods", kind, name, "restart", ""), timeout=DEPLOY)
