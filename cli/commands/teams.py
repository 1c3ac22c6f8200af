"""Teams: people who get roles on apps together."""

from __future__ import annotations

from cli import output
from cli.client import path
from cli.session import Session
from cli.table import JSON, LIMIT, Arg, Option, command

TEAM = Arg("team")
USERNAME = Arg("username")


@command("teams:list", "List your teams", "paas teams", options=(LIMIT, JSON), bare=True)
def list_teams(session: Session, limit: int | None) -> None:
    teams, total = session.page("/v2/teams/", limit)
    if session.shown_as_json(teams):
        return
    output.heading("Teams", len(teams), total)
    output.pairs([(team["name"], f"{team['members']} member{'s' * (team['members'] != 1)}") for team in teams])
    if not teams:
        output.note("None yet; `paas teams:create backend` makes one.")


@command(
    "teams:info",
    "Show a team's members and the apps it works on",
    "paas teams:info backend",
    args=(TEAM,),
    options=(JSON,),
)
def info(session: Session, team: str) -> None:
    found = session.api.get(path("teams", team, ""))
    if session.shown_as_json(found):
        return
    output.heading(f"{found['name']} Members (*=manager)")
    for member in found["members"]:
        output.line(f"{'*' if member['manager'] else ''}{member['username']}")
    output.line()
    output.heading(f"{found['name']} Apps")
    output.pairs([(row["app"], row["role"]) for row in found["apps"]])


@command("teams:create", "Make a team that you manage", "paas teams:create backend", args=(TEAM,))
def create(session: Session, team: str) -> None:
    with output.progress(f"Creating team {team}..."):
        session.api.post("/v2/teams/", {"name": team})
    output.note(f"Give it a role on an app: `paas access:grant --team={team} developer -a APP`.")


@command(
    "teams:destroy", "End a team; its members lose the roles it gave them", "paas teams:destroy backend", args=(TEAM,)
)
def destroy(session: Session, team: str) -> None:
    with output.progress(f"Destroying team {team}..."):
        session.api.delete(path("teams", team, ""))


@command(
    "teams:add",
    "Add someone to a team",
    "paas teams:add backend alice",
    args=(TEAM, USERNAME),
    options=(Option("--manager", "who may add and remove others, too"),),
)
def add(session: Session, team: str, username: str, manager: bool | None) -> None:
    with output.progress(f"Adding {username} to team {team}..."):
        session.api.post(path("teams", team, "members", ""), {"username": username, "manager": bool(manager)})


@command(
    "teams:remove", "Take someone out of a team, or leave it", "paas teams:remove backend alice", args=(TEAM, USERNAME)
)
def remove(session: Session, team: str, username: str) -> None:
    with output.progress(f"Removing {username} from team {team}..."):
        session.api.delete(path("teams", team, "members", username))
