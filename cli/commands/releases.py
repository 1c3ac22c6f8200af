"""Releases: every deploy and config change, numbered; and the way back."""

from __future__ import annotations

from cli import output
from cli.client import DEPLOY
from cli.errors import UsageError
from cli.session import Session
from cli.table import APP, JSON, LIMIT, Arg, command


@command(
    "releases:list", "List an app's releases, newest first", "paas releases", options=(LIMIT, APP, JSON), bare=True
)
def list_releases(session: Session, limit: int | None) -> None:
    releases, total = session.page(session.app_path("releases", ""), limit)
    if session.shown_as_json(releases):
        return
    output.heading(f"{session.app} Releases", len(releases), total)
    for release in releases:
        mark = output.paint("\tfailed", "red") if release.get("failed") else ""
        output.line(f"v{release['version']}\t{release['created']}\t{release['summary']}{mark}")


@command(
    "releases:info",
    "Show one release",
    "paas releases:info v3",
    args=(Arg("version", "v3 or 3"),),
    options=(APP, JSON),
)
def info(session: Session, version: str) -> None:
    number = parse_version(version)
    release = session.api.get(session.app_path("releases", f"v{number}", ""))
    if session.shown_as_json(release):
        return
    output.heading(f"{session.app} Release v{number}")
    keys = ["build"] if release.get("build") else []
    keys += ["config", "owner", "created", "summary", "updated", "uuid"]
    rows = [(key, release.get(key)) for key in keys]
    if release.get("failed"):
        rows.append(("failed", release.get("exception") or "yes"))
    output.pairs(rows, suffix=":")


@command(
    "releases:rollback",
    "Go back to an earlier release, without building anything",
    "paas rollback v2",
    args=(Arg("version", "v2 or 2; without it, one release back", required=False),),
    options=(APP, JSON),
)
def rollback(session: Session, version: str | None) -> None:
    number = parse_version(version) if version else None
    title = f"Rolling back to v{number}..." if number else "Rolling back one release..."
    with output.progress(title, quiet=session.json) as step:
        body = {"version": number} if number else None
        answer = session.api.post(session.app_path("releases", "rollback", ""), body, timeout=DEPLOY)
        step.result = f"done, v{answer['version']}"
    session.shown_as_json(answer)


def parse_version(text: str) -> int:
    digits = text.removeprefix("v")
    if not digits.isdigit():
        raise UsageError(f"'{text}' is no release; write v2 or 2 (`paas releases` lists them).")
    return int(digits)
