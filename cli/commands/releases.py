"""Releases: every deploy and config change, numbered; what differs between them, and the way back."""

from __future__ import annotations

from typing import Any

from cli import output
from cli.errors import UsageError
from cli.session import Session
from cli.table import APP, JSON, LIMIT, WAITING, Arg, Option, command

UNDER_WAY = ("pending", "deploying")
STATES = {
    "live": ("live", "green"),
    "watched": ("live, being watched", "green"),
    "pending": ("waits to be deployed", "yellow"),
    "deploying": ("being deployed", "yellow"),
    "failed": ("failed", "red"),
}
LONGEST_REASON = 160  # characters of it in the list
POLL_SECONDS = 1.0
SIGNS = {"added": "+", "removed": "-", "changed": "~"}


@command(
    "releases:list", "List an app's releases, newest first", "paas releases", options=(LIMIT, APP, JSON), bare=True
)
def list_releases(session: Session, limit: int | None) -> None:
    releases, total = session.page(session.app_path("releases", ""), limit, detail="true")
    if session.shown_as_json(releases):
        return
    output.heading(f"{session.app} Releases", len(releases), total)
    for release in releases:
        output.line(f"v{release['version']}\t{release['created']}\t{release['summary']}{describe_state(release)}")


def describe_state(release: dict[str, Any]) -> str:
    """What the list says beyond Deis' columns; a controller of Deis tells no more than that a release failed."""
    state = release.get("state") or ("failed" if release.get("failed") else "")
    if state not in STATES:
        return ""
    text, colour = STATES[state]
    reason = (release.get("reason") or "").partition(" | ")[0]
    if state == "failed" and reason:
        text += f": {reason if len(reason) <= LONGEST_REASON else reason[:LONGEST_REASON] + '…'}"
    return "\t" + output.paint(text, colour)


@command(
    "releases:info",
    "Show one release: who, when, what became of it",
    "paas releases:info v3",
    args=(Arg("version", "v3 or 3; the newest when missing", required=False),),
    options=(APP, JSON),
)
def info(session: Session, version: str | None) -> None:
    number = parse_version(version) if version else newest_of(session)[0]
    release = session.api.get(session.app_path("releases", f"v{number}", ""), detail="true")
    if session.shown_as_json(release):
        return
    output.heading(f"{session.app} Release v{number}")
    keys = ["build"] if release.get("build") else []
    keys += ["config", "owner", "created", "summary", "updated", "uuid"]
    rows = [(key, release.get(key)) for key in keys]
    rows += [(key, release[key]) for key in ("state", "cause", "image", "sha") if release.get(key)]
    if release.get("structure"):
        rows.append(("scale", " ".join(f"{kind}={count}" for kind, count in sorted(release["structure"].items()))))
    if release.get("failed"):
        rows.append(("failed", (release.get("exception") or "yes").removeprefix("error: ")))
    output.pairs(rows, suffix=":")


@command(
    "releases:diff",
    "Show what differs between two releases: code, config (values hidden), formation",
    "paas releases:diff v3 v7",
    args=(
        Arg("from", "v3 or 3; without both, the two newest", required=False, dest="old"),
        Arg("to", "v7 or 7; without it, the newest", required=False, dest="new"),
    ),
    options=(APP, JSON),
)
def diff(session: Session, old: str | None, new: str | None) -> None:
    if old is None or new is None:
        newest = newest_of(session)
        second = parse_version(new) if new else newest[0]
        first = parse_version(old) if old else newest[-1]
    else:
        first, second = parse_version(old), parse_version(new)
    data = session.api.get(session.app_path("releases", f"v{first}", "diff", f"v{second}", ""))
    if not session.shown_as_json(data):
        output.heading(f"{session.app} v{first} to v{second}")
        show_diff(data)


def show_diff(data: dict[str, Any]) -> None:
    """Each part that differs, with a line for each change: `+ name  value`, `~ name  before -> after`."""
    found = False
    for title, part in (("Code", "code"), ("Procfile", "procfile"), ("Config", "config"), ("Formation", "formation")):
        changes = data.get(part) or []
        if not changes:
            continue
        found = True
        output.line(f"--- {title}:")
        for change in changes:
            output.line(describe_change(change))
    if not found:
        output.line("Nothing differs.")


def describe_change(change: dict[str, Any]) -> str:
    section = change.get("section", "values")
    name = change["name"] if section == "values" else f"{section} {change['name']}"
    sides = [short(side) for side in (change["before"], change["after"]) if side is not None]
    hidden = sides and all(side == "…" for side in sides)
    text = "(value hidden)" if hidden else " -> ".join(sides)
    colour = {"added": "green", "removed": "red"}.get(change["change"], "yellow")
    return output.paint(f"{SIGNS[change['change']]} {name}  {text}", colour)


def short(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@command(
    "releases:output",
    "Show what was said while a release went live: its release command's output, the rollout, the cause",
    "paas releases:output v7",
    args=(Arg("version", "v7 or 7; without it, the newest", required=False),),
    options=(Option("--follow", "go on until it is live or has failed", short="-f"), APP, JSON),
)
def show_output(session: Session, version: str | None, follow: bool | None) -> int:
    import time

    number = parse_version(version) if version else session.page(session.app_path("releases", ""), 1)[0][0]["version"]
    told = 0
    while True:
        data = session.api.get(session.app_path("releases", f"v{number}", "output", ""))
        if not follow and session.shown_as_json(data):
            return 0
        for line in data["results"][told:]:
            source = "" if line["source"] in ("platform", "step") else f"[{line['source']}] "
            output.line(f"{line['time']} {source}{line['text']}")
        told = len(data["results"])
        if not follow or data["state"] not in UNDER_WAY:
            break
        time.sleep(POLL_SECONDS)
    if not told:
        output.note(f"Nothing was said while v{number} was made.")
    return 1 if follow and data["state"] == "failed" else 0


@command(
    "releases:rollback",
    "Go back to an earlier release, without building anything",
    "paas rollback v2",
    args=(Arg("version", "v2 or 2; without it, one release back", required=False),),
    options=(
        Option("--code", "its code only; config stays as it is"),
        Option("--config", "its config only; code stays as it is (-c names a profile)", dest="config_only"),
        APP,
        JSON,
        *WAITING,
    ),
)
def rollback(session: Session, version: str | None, code: bool | None, config_only: bool | None) -> None:
    number = parse_version(version) if version else None
    if code and config_only:
        raise UsageError("--code and --config exclude each other; without either both go back.")
    only = "code" if code else "config" if config_only else None
    title = f"Rolling back{f' the {only}' if only else ''} to v{number}..." if number else "Rolling back one release..."
    with output.progress(title, quiet=session.json) as step:
        wished = {"version": number, "only": only}
        body = {key: value for key, value in wished.items() if value is not None}
        answer = session.deploy(session.app_path("releases", "rollback", ""), body or None)
        step.result = f"done, v{answer['version']}" if session.waits else f"begun, v{answer['version']}"
    session.shown_as_json(answer)


def newest_of(session: Session) -> list[int]:
    """The numbers of the app's two newest releases, the newest first."""
    return [row["version"] for row in session.page(session.app_path("releases", ""), 2)[0]]


def parse_version(text: str) -> int:
    digits = text.removeprefix("v")
    if not digits.isdigit():
        raise UsageError(f"'{text}' is no release; write v2 or 2 (`paas releases` lists them).")
    return int(digits)
