"""Letting go of images and files that nobody needs."""

from __future__ import annotations

from typing import Any

from cli import output
from cli.session import Session
from cli.table import JSON, Option, command


@command(
    "gc:run",
    "Remove images and build files that no app keeps (administrators)",
    "paas gc --dry-run",
    options=(Option("--dry-run", "only tell what would go"), JSON),
    bare=True,
)
def collect(session: Session, dry_run: bool) -> None:
    answer = session.api.post("/v2/gc/", {"dry_run": bool(dry_run)})
    items = answer["items"]
    if session.shown_as_json(answer):
        return
    verb = "would be removed" if dry_run else "removed"
    if not items:
        output.line("Nothing to remove: every image is kept by a release, runs, or is younger than an hour.")
        return
    for item in items:
        output.line(line_of(item))
    freed = "" if answer["freed"] is None else f"; the registry's disk got back {human(answer['freed'])}"
    output.line(f"{len(items)} {verb}{freed}")


def line_of(item: dict[str, Any]) -> str:
    """`registry image shop@sha256:0123456789ab 12.3 MiB`."""
    name, at, digest = item["name"].partition("@")
    return f"{item['kind']} {name}{at}{digest[:19]} {human(item['bytes'])}"


def human(count: int) -> str:
    size, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
