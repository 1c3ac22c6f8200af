"""The log of an app: read, searched, followed, kept, sent elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

from cli import output
from cli.errors import CliError, UsageError
from cli.session import Session
from cli.table import APP, JSON, Arg, Option, command

AGAIN = 1.0  # seconds before a log that ended is followed again
CAUGHT_UP = 10_000  # lines at most of what came meanwhile

FILTERS = (
    Option("--ps", "only this process: web, web.x7k2p, or a one-off's name", value="PROCESS"),
    Option("--source", "only app, router, build, release or platform", value="SOURCE"),
    Option("--since", "not before: a time, or how long ago (15m, 2h, 3d)", value="TIME"),
    Option("--until", "not after", value="TIME"),
    Option("--grep", "only lines with this text; capitals count once it has some", short="-g", value="TEXT"),
)


@command(
    "apps:logs",
    "Show the log of an app: its processes, requests, releases and builds",
    "paas logs -f",
    options=(
        Option("--lines", "this many of the last lines", short="-n", value="N", number=True),
        Option("--follow", "go on as lines come, until Ctrl-C", short="-f"),
        *FILTERS,
        APP,
    ),
)
def logs(session: Session, lines: int | None, follow: bool | None, **values: str | None) -> None:
    show_logs(session, lines=lines, follow=follow, **values)


def show_logs(session: Session, *, lines: int | None, follow: bool | None, **filters: str | None) -> None:
    """Prints the log; `filters` are ps, source, since, until and grep."""
    where = session.app_path("logs")
    query = {name: value for name, value in filters.items() if value}
    if "ps" in query:
        query["ps"] = process_name(session, str(query["ps"]))
    if follow and "until" in query:
        raise UsageError("--follow goes on and --until ends; take one of them.")
    if follow:
        for text in followed(session, where, lines, query):
            output.log_line(text)
        return
    text = session.api.request("GET", where, query={"log_lines": lines, **query}).text
    if not text.strip() and query:
        output.note(f"No line of {session.app}'s log matches.")
    elif not text.strip():
        raise CliError(
            f"There are no log messages of {session.app} yet: it has not been deployed, or its processes "
            "printed nothing; `paas ps` shows whether any runs."
        )
    for row in text.splitlines():
        output.log_line(row)


def followed(session: Session, where: str, lines: int | None, query: dict[str, str]) -> Iterator[str]:
    """Lines as they come. The platform ends an answer after an hour, when it restarts, and when the right to read is
    gone: it is asked again for what came since, and what it then refuses is said. Raises: CliError.
    """
    moment, shown = "", Counter[str]()  # the last line's time, and the lines of that second
    wanted = lines
    while True:
        known = shown.copy()
        for text in session.api.stream(where, log_lines=wanted, follow="true", **query):
            at = text.partition(" ")[0]
            if not text:  # it only keeps the connection
                continue
            if at == moment and known[text]:
                known[text] -= 1
                continue
            if at != moment:
                moment, shown = at, Counter()
            shown[text] += 1
            yield text
        time.sleep(AGAIN)
        if moment:
            wanted, query = CAUGHT_UP, query | {"since": moment}


def process_name(session: Session, wished: str) -> str:
    """What the log calls a process: `web.7x2kp` for `shop-web-6d5f-7x2kp` and `web-7x2kp`."""
    name = wished.removeprefix(f"{session.app}-")
    parts = name.split("-")
    if name != wished and len(parts) >= 2:  # a pod's whole name: type, perhaps a hash, suffix
        return parts[-1]
    return wished


@command("logs:drains", "List where the log also goes", "paas logs:drains", options=(APP, JSON))
def list_drains(session: Session) -> None:
    rows = session.api.get(session.app_path("logs", "drains", ""))["results"]
    if session.shown_as_json(rows):
        return
    output.heading(f"{session.app} Log Drains")
    if not rows:
        output.note("None; `paas logs:drains:add syslog+tls://logs.example.com:6514` adds one.")
        return
    cells = [(row["uuid"], row["url"], row["state"], row["waiting"]) for row in rows]
    output.table(("Id", "Address", "State", "Waiting"), cells)


@command(
    "logs:drains:add",
    "Send the log to syslog or HTTP as well",
    "paas logs:drains:add syslog+tls://logs.example.com:6514",
    args=(Arg("url", "syslog://host:514 (TCP), syslog+tls://…, syslog+udp://…, http://… or https://…"),),
    options=(APP, JSON),
    details="Lines go as RFC 5424 messages; over HTTP several at a time, each after its length "
    "(application/logplex-1). A drain that is away gets up to 10,000 lines later; what is lost is counted in the log.",
)
def add_drain(session: Session, url: str) -> None:
    with output.progress("Adding log drain...", quiet=session.json) as step:
        row = session.api.post(session.app_path("logs", "drains", ""), {"url": url})
        step.result = f"done, {row['uuid']}"
    session.shown_as_json(row)


@command(
    "logs:drains:remove",
    "Stop sending the log somewhere",
    "paas logs:drains:remove syslog+tls://logs.example.com:6514",
    args=(Arg("drain", "its id or address"),),
    options=(APP,),
)
def remove_drain(session: Session, drain: str) -> None:
    with output.progress("Removing log drain..."):
        session.api.delete(session.app_path("logs", "drains", drain))


@command(
    "logs:retention",
    "Show or set how much of the log is kept",
    "paas logs:retention --days=3 --megabytes=20",
    options=(
        Option("--days", "days at most; 0: as long as the platform keeps logs", value="N", number=True),
        Option("--megabytes", "size on disk at most; 0: what the platform allows", value="N", number=True),
        APP,
        JSON,
    ),
)
def retention(session: Session, days: int | None, megabytes: int | None) -> None:
    where = session.app_path("logs", "retention", "")
    changes = {name: value or None for name, value in (("days", days), ("megabytes", megabytes)) if value is not None}
    kept = session.api.post(where, changes) if changes else session.api.get(where)
    if session.shown_as_json(kept):
        return
    output.heading(f"{session.app} Log Retention")
    output.pairs([(name, kept[name] or "the platform's limit") for name in ("days", "megabytes")], suffix=":")
