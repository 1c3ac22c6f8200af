"""Permissions: who may work on an app, and who administers the platform."""

from __future__ import annotations

from cli import output
from cli.client import path
from cli.errors import NotAllowed, NotFound
from cli.session import Session
from cli.table import APP, JSON, LIMIT, Arg, Option, command

ADMIN = Option("--admin", "administrators of the platform instead of one app")
USERNAME = Arg("username")


@command("perms:list", "List who may work on an app", "paas perms", options=(ADMIN, LIMIT, APP, JSON), bare=True)
def list_perms(session: Session, admin: bool | None, limit: int | None) -> None:
    if admin:
        rows, total = session.page("/v2/admin/perms/", limit)
        names = [row["username"] for row in rows]
        title = "Administrators"
    else:
        names = session.api.get(session.app_path("perms", ""))["users"]
        total = len(names)
        title = f"{session.app}'s Users"
    if session.shown_as_json(names):
        return
    output.heading(title, len(names), total)
    for name in names:
        output.line(name)
    if not names:
        output.note("Nobody but its owner; `paas perms:create USERNAME` lets somebody in.")


@command(
    "perms:create", "Let someone work on an app", "paas perms:create alice", args=(USERNAME,), options=(ADMIN, APP)
)
def create(session: Session, username: str, admin: bool | None) -> None:
    where = "/v2/admin/perms/" if admin else session.app_path("perms", "")
    with output.progress(f"Adding {username} to {circle(session, admin)}..."):
        session.api.post(where, {"username": username})


@command(
    "perms:delete",
    "Take the permission away",
    "paas perms:delete alice",
    args=(USERNAME,),
    options=(ADMIN, APP),
)
def delete(session: Session, username: str, admin: bool | None) -> None:
    where = path("admin", "perms", username) if admin else session.app_path("perms", username)
    with output.progress(f"Removing {username} from {circle(session, admin)}..."):
        try:
            session.api.delete(where)
        except NotAllowed:
            if not admin and username not in session.api.get(session.app_path("perms", ""))["users"]:
                text = f"{username} is no collaborator of {session.app}; `paas perms` lists them."
                raise NotFound(text) from None
            raise


def circle(session: Session, admin: bool | None) -> str:
    return "system administrators" if admin else f"{session.app} collaborators"
