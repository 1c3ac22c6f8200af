"""The short names of common commands."""

from __future__ import annotations

from cli import output
from cli.session import Session
from cli.table import JSON, SHORTCUTS, command


@command("shortcuts:list", "List the short names", "paas shortcuts", options=(JSON,), bare=True)
def list_shortcuts(session: Session) -> None:
    if session.shown_as_json(SHORTCUTS):
        return
    for name, full in sorted(SHORTCUTS.items()):
        output.line(f"{name} -> {full}")
