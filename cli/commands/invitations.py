"""Invitations: links that make an account, or give a role, once."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from cli import output, prompts
from cli.client import Client, path
from cli.errors import UsageError
from cli.session import Session
from cli.table import JSON, LIMIT, Arg, Option, command


@command("invitations:list", "List the invitations you made", "paas invitations", options=(LIMIT, JSON), bare=True)
def list_invitations(session: Session, limit: int | None) -> None:
    rows, total = session.page("/v2/invitations/", limit)
    if session.shown_as_json(rows):
        return
    output.heading("Invitations", len(rows), total)
    cells = [
        (
            row["id"],
            row["email"] or "anybody with the link",
            gives(row),
            f"accepted by {row['accepted_by']}" if row["accepted"] else f"open until {row['expires']}",
        )
        for row in rows
    ]
    if cells:
        output.table(("ID", "FOR", "GIVES", "STATE"), cells)
    else:
        output.note("None yet; `paas invitations:create --email=MAIL` makes one.")


def gives(row: dict[str, Any]) -> str:
    parts = [f"{row['role']} of {row['app']}"] if row["app"] else []
    parts += [f"team {row['team']}"] if row["team"] else []
    return ", ".join(parts) or "an account"


@command(
    "invitations:create",
    "Invite someone, by mail or by a link you pass on",
    "paas invitations:create --email=alice@example.com --role=developer -a shop",
    options=(
        Option("--email", "mail the link there", value="MAIL"),
        Option("--team", "makes them a member of this team of yours", value="TEAM"),
        Option("--role", "gives them this role on the app of -a", value="ROLE"),
        Option("--app", "the app of --role", short="-a", value="APP"),
        Option("--days", "days the link is good for", value="N", number=True, default=7),
        JSON,
    ),
)
def create(session: Session, email: str | None, team: str | None, role: str | None, days: int) -> None:
    body: dict[str, object] = {"days": days}
    body |= {name: value for name, value in (("email", email), ("team", team), ("role", role)) if value}
    if role:
        body["app"] = session.app
    made = session.api.post("/v2/invitations/", body)
    if session.shown_as_json(made):
        return
    output.line(made["link"])
    sent = f"mailed to {email}; " if email else ""
    output.note(f"Invitation {made['id']} is {sent}good once, until {made['expires']}. The link is not shown again.")


@command("invitations:revoke", "Take an invitation back", "paas invitations:revoke 3", args=(Arg("id"),))
def revoke(session: Session, id: str) -> None:
    with output.progress(f"Taking invitation {id} back..."):
        session.api.delete(path("invitations", id))


@command(
    "invitations:accept",
    "Make your account from an invitation's link, and log in",
    "paas invitations:accept 'http://paas.example.com/join/?token=…'",
    args=(Arg("link"),),
    options=(
        Option("--username", "the name you choose; asked for when missing", value="NAME"),
        Option("--password", "the password you choose; asked for when missing", value="PASSWORD"),
        Option("--as-me", "accept with the account you are logged in with"),
    ),
)
def accept(session: Session, link: str, username: str | None, password: str | None, as_me: bool | None) -> None:
    from cli.commands.auth import log_in, read_password

    address, token = split_link(link)
    if as_me:
        session.api.post("/v2/invitations/accept/", {"token": token})
        output.line("The invitation is accepted.")
        return
    api = Client(address)
    username = username or prompts.ask("username: ")
    password = password or read_password(False, confirm=True)
    api.post("/v2/invitations/accept/", {"token": token, "username": username, "password": password})
    output.line(f"Registered {username}")
    log_in(session, api, username, password)


def split_link(link: str) -> tuple[str, str]:
    """The platform's address and the token in an invitation's link."""
    parts = urlsplit(link)
    token = parts.query.rpartition("token=")[2]
    if not parts.netloc or not token:
        raise UsageError(f"'{link}' is no invitation's link; one looks like http://paas.example.com/join/?token=….")
    return f"{parts.scheme}://{parts.netloc}", token
