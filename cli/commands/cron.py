"""Commands on a schedule."""

from __future__ import annotations

from typing import Any

from cli import output
from cli.errors import NotFound
from cli.session import Session
from cli.table import APP, JSON, Arg, Option, command
from cli.terminal import shell_line

NAME = Arg("name", "as `paas cron` lists it")


@command("cron:list", "List commands on a schedule", "paas cron", options=(APP, JSON), bare=True)
def list_cron(session: Session) -> None:
    rows = session.api.get(session.app_path("cron", ""))["results"]
    if session.shown_as_json(rows):
        return
    output.heading(f"{session.app} Cron")
    if not rows:
        output.note("None; `paas cron:add '0 3 * * *' -- ./nightly` adds one, as do `cron` entries of app.json.")
        return
    cells = []
    for row in rows:
        origin = "app.json" if row["declared"] else "added"
        cells.append(
            (row["name"], row["schedule"], row["timezone"], "paused" if row["paused"] else origin, row["command"])
        )
    output.table(("Name", "Schedule", "Time zone", "State", "Command"), cells)


@command(
    "cron:add",
    "Run a command on a schedule, each time in a new container of the then current release",
    "paas cron:add '0 3 * * 1-5' --name=report --timezone=Europe/Berlin -- python report.py",
    args=(
        Arg("schedule", "minute hour day month weekday, quoted; or @hourly, @daily, @weekly, @monthly"),
        Arg("command", "one quoted shell line, or words that reach the command unchanged", rest=True),
    ),
    options=(
        Option("--name", "what to call it; made up when missing", value="NAME"),
        Option("--timezone", "of the schedule; UTC when missing", value="ZONE"),
        Option("--policy", "when the last run isn't over: forbid (the default), allow or replace", value="POLICY"),
        Option("--deadline", "seconds one run may take; an hour when missing", value="SECONDS", number=True),
        APP,
        JSON,
    ),
)
def add(
    session: Session,
    schedule: str,
    command: list[str],
    name: str | None,
    timezone: str | None,
    policy: str | None,
    deadline: int | None,
) -> None:
    wished = {"name": name, "timezone": timezone, "policy": policy, "deadline": deadline}
    body: dict[str, Any] = {"schedule": schedule, "command": shell_line(command)}
    body |= {key: value for key, value in wished.items() if value is not None}
    with output.progress("Adding cron entry...", quiet=session.json) as step:
        row = session.api.post(session.app_path("cron", ""), body)
        step.result = f"done, {row['name']}"
    session.shown_as_json(row)


@command("cron:remove", "Remove a command from the schedule", "paas cron:remove report", args=(NAME,), options=(APP,))
def remove(session: Session, name: str) -> None:
    with output.progress(f"Removing cron entry {name}..."):
        session.api.delete(session.app_path("cron", name))


@command("cron:run", "Run a scheduled command once, now", "paas cron:run report", args=(NAME,), options=(APP,))
def run(session: Session, name: str) -> None:
    job = session.api.post(session.app_path("cron", name, "run"))["name"]
    output.line(f"Running {name} as {job}")
    output.note(f"`paas cron:logs {name} -f` shows what it prints, `paas cron:history {name}` how it ended.")


@command(
    "cron:pause", "Leave a command out until it is resumed", "paas cron:pause report", args=(NAME,), options=(APP,)
)
def pause(session: Session, name: str) -> None:
    with output.progress(f"Pausing cron entry {name}..."):
        session.api.post(session.app_path("cron", name, "pause"))


@command("cron:resume", "Run a paused command again", "paas cron:resume report", args=(NAME,), options=(APP,))
def resume(session: Session, name: str) -> None:
    with output.progress(f"Resuming cron entry {name}..."):
        session.api.post(session.app_path("cron", name, "resume"))


@command(
    "cron:history", "Show the last runs of a command", "paas cron:history report", args=(NAME,), options=(APP, JSON)
)
def history(session: Session, name: str) -> None:
    rows = session.api.get(session.app_path("cron", name, "history"))["results"]
    if session.shown_as_json(rows):
        return
    output.heading(f"{session.app} {name} Runs")
    if not rows:
        output.note(f"None yet; `paas cron:run {name}` runs it now.")
        return
    cells = []
    for row in rows:
        code = row["exit_code"]
        state = row["state"] if code in (None, 0) else f"{row['state']} ({code})"
        cells.append((row["process"] or row["name"], row["started"], row["ended"] or "", state, row["reason"]))
    output.table(("Run", "Began", "Ended", "State", "Reason"), cells)


@command(
    "cron:logs",
    "Show what a command printed, of all its runs",
    "paas cron:logs report -n 50",
    args=(NAME,),
    options=(
        Option("--lines", "this many of the last lines", short="-n", value="N", number=True),
        Option("--follow", "go on as lines come, until Ctrl-C", short="-f"),
        Option("--since", "not before: a time, or how long ago (15m, 2h, 3d)", value="TIME"),
        APP,
    ),
)
def logs(session: Session, name: str, lines: int | None, follow: bool | None, since: str | None) -> None:
    from cli.commands.logs import show_logs

    known = [row["name"] for row in session.api.get(session.app_path("cron", ""))["results"]]
    if name not in known:
        raise NotFound(f"{session.app} has no cron entry {name}; `paas cron` lists them.")
    show_logs(session, lines=lines, follow=follow, ps=f"cron-{name}", since=since)
