"""One-off commands that go on without their client: begun, listed, looked at, stopped."""

from __future__ import annotations

from typing import Any

from cli import output
from cli.errors import NotFound
from cli.session import Session
from cli.table import APP, JSON, LIMIT, Arg, Option, command
from cli.terminal import shell_line

NAME = Arg("name", "as `paas runs` lists it; the app before it may be left out")


@command(
    "runs:start",
    "Run a command in a new container of the app, without waiting for it",
    "paas run:detached --timeout=3600 -- python manage.py import",
    args=(Arg("command", "one quoted shell line, or words that reach the command unchanged", rest=True),),
    options=(Option("--timeout", "seconds it may take; a day when not said", value="SECONDS", number=True), APP, JSON),
)
def start(session: Session, command: list[str], timeout: int | None) -> None:
    line = shell_line(command)
    row = session.api.post(session.app_path("runs", ""), {"command": line, "timeout": timeout})
    if session.shown_as_json(row):
        return
    short = short_name(session, row)
    output.line(f"Running '{line}' as {row['name']}")
    output.note(f"`paas run:logs {short}` shows what it prints, `paas run:stop {short}` ends it.")


def short_name(session: Session, row: dict[str, Any]) -> str:
    return str(row["name"]).removeprefix(f"{session.app}-")


@command("runs:list", "List one-off commands, the newest first", "paas runs", options=(LIMIT, APP, JSON), bare=True)
def list_runs(session: Session, limit: int | None) -> None:
    rows, total = session.page(session.app_path("runs", ""), limit)
    if session.shown_as_json(rows):
        return
    output.heading(f"{session.app} One-off Commands", len(rows), total)
    if not rows:
        output.note("None; `paas run` and `paas run:detached` make some.")
        return
    cells = [(short_name(session, row), ending(row), row["release"], row["created"], row["command"]) for row in rows]
    output.table(("Name", "State", "Release", "Began", "Command"), cells)


def ending(row: dict[str, Any]) -> str:
    """`running`, `succeeded` or `failed (3)`."""
    code = row["exit_code"]
    return str(row["state"]) if code in (None, 0) else f"{row['state']} ({code})"


@command("runs:info", "Show a one-off command", "paas run:info run-x7k2p", args=(NAME,), options=(APP, JSON))
def info(session: Session, name: str) -> None:
    row = one(session, name)
    if session.shown_as_json(row):
        return
    output.heading(f"{session.app} {short_name(session, row)}")
    shown = ("command", "state", "exit_code", "reason", "kind", "release", "by", "created", "deadline", "ended")
    output.pairs([(key, row[key]) for key in shown], suffix=":")


def one(session: Session, name: str) -> dict[str, Any]:
    """Raises: NotFound."""
    try:
        row: dict[str, Any] = session.api.get(session.app_path("runs", name))
    except NotFound as exc:
        if "OneOff" in str(exc) or "oneoff" in str(exc):
            raise NotFound(f"{session.app} has no one-off command {name}; `paas runs` lists them.") from exc
        raise
    return row


@command(
    "runs:logs",
    "Show what a one-off command printed",
    "paas run:logs run-x7k2p -f",
    args=(NAME,),
    options=(
        Option("--lines", "this many of the last lines", short="-n", value="N", number=True),
        Option("--follow", "go on as lines come, until Ctrl-C", short="-f"),
        APP,
    ),
)
def logs(session: Session, name: str, lines: int | None, follow: bool | None) -> None:
    from cli.commands.logs import show_logs

    row = one(session, name)
    show_logs(session, lines=lines, follow=follow, ps=f"run.{row['name'].rpartition('-')[2]}")


@command("runs:stop", "Stop a one-off command", "paas run:stop run-x7k2p", args=(NAME,), options=(APP,))
def stop(session: Session, name: str) -> None:
    row = one(session, name)
    with output.progress(f"Stopping {row['name']}...") as step:
        session.api.delete(session.app_path("runs", row["name"]))
        step.result = "done" if row["state"] == "running" else "it had ended already"
