"""Users of the platform, for administrators."""

from __future__ import annotations

from cli import output
from cli.session import Session
from cli.table import JSON, LIMIT, command


@command("users:list", "List the users", "paas users", options=(LIMIT, JSON), bare=True)
def list_users(session: Session, limit: int | None) -> None:
    users, total = session.page("/v2/users/", limit)
    if session.shown_as_json(users):
        return
    output.heading("Users (*=admin)", len(users), total)
    for user in users:
        output.line(f"{'*' if user['is_superuser'] else ''}{user['username']}")
