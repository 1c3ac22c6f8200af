"""The audit trail: who did what from where."""

from __future__ import annotations

from typing import Any

from cli import output
from cli.session import Session
from cli.table import JSON, LIMIT, Option, command


@command(
    "audit:list",
    "Show who did what from where, the newest first",
    "paas audit -a shop",
    options=(
        LIMIT,
        Option("--app", "an app of yours; default: everything you did, for administrators everybody", "-a", "APP"),
        JSON,
    ),
    bare=True,
)
def list_audit(session: Session, limit: int | None) -> None:
    where = session.app_path("audit", "") if session.app_was_named else "/v2/audit/"
    entries, total = session.page(where, limit)
    if session.shown_as_json(entries):
        return
    output.heading(f"{session.app} Audit" if session.app_was_named else "Audit", len(entries), total)
    for entry in entries:
        output.line(line_of(entry))


def line_of(entry: dict[str, Any]) -> str:
    """`2026-01-02T03:04:05Z bob (login, 10.0.0.7) POST /v2/apps/ 201 id=shop`."""
    origin = ", ".join(part for part in (entry["via"], entry["address"]) if part)
    ended = entry["status"] if entry["status"] is not None else "cut off, or still under way"
    sent = " ".join(f"{name}={told(value)}" for name, value in entry["detail"].items())
    return f"{entry['time']} {entry['actor']} ({origin}) {entry['action']} {ended} {sent}".rstrip()


def told(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
