"""Access: the roles that people and teams have on an app."""

from __future__ import annotations

from cli import output
from cli.errors import UsageError
from cli.session import Session
from cli.table import APP, JSON, Arg, Option, command

TEAM = Option("--team", "a team instead of a person", value="TEAM")
ROLES = (
    "Roles, each including those before it: viewer (sees the app and its log, not its config), developer (pushes, "
    "rolls back, scales, changes config), collaborator (what perms:create gives: also runs commands, adds domains, "
    "changes settings), operator (also removes domains and addresses), owner (also gives access, destroys)."
)


@command("access:list", "List who may do what with an app", "paas access", options=(APP, JSON), bare=True)
def list_access(session: Session) -> None:
    found = session.api.get(session.app_path("access", ""))
    if session.shown_as_json(found):
        return
    output.heading(f"{session.app} Access")
    rows = [(found["owner"], "owner (the app is theirs)")]
    rows += [(row["username"], row["role"]) for row in found["users"]]
    rows += [(f"team {row['team']}", row["role"]) for row in found["teams"]]
    output.pairs(rows, gap=4)


@command(
    "access:grant",
    "Give someone, or a team, a role on an app",
    "paas access:grant alice developer",
    args=(Arg("username", "left out with --team", required=False), Arg("role", required=False)),
    options=(TEAM, APP),
    details=ROLES,
)
def grant(session: Session, username: str | None, role: str | None, team: str | None) -> None:
    role = role or (username if team else None)
    if not role or (team and role != username):
        raise UsageError(
            "access:grant needs who and what: `paas access:grant alice developer`, or `--team=T developer`."
        )
    who, body = (f"team {team}", {"team": team}) if team else (username, {"username": username})
    with output.progress(f"Making {who} {role} of {session.app}..."):
        session.api.post(session.app_path("access", ""), {**body, "role": role})


@command(
    "access:revoke",
    "Take a role on an app away",
    "paas access:revoke alice",
    args=(Arg("username", "left out with --team", required=False),),
    options=(TEAM, APP),
)
def revoke(session: Session, username: str | None, team: str | None) -> None:
    if bool(username) == bool(team):
        raise UsageError("access:revoke needs whom: `paas access:revoke alice`, or `--team=T`.")
    where = session.app_path("access", "teams", team) if team else session.app_path("access", "users", username or "")
    with output.progress(f"Taking {f'team {team}' if team else username} off {session.app}..."):
        session.api.delete(where)
