"""Notifications: mail to you about what happens to apps."""

from __future__ import annotations

from cli import output
from cli.commands.webhooks import state_of
from cli.session import Session
from cli.table import JSON, LIMIT, Arg, Option, command

ROUTE = "/v2/notifications/"
APP = Option("--app", "about this app; default: about every app you may see", short="-a", value="APP")


@command("notifications:list", "List what you get mail about", "paas notifications", options=(JSON,), bare=True)
def list_notifications(session: Session) -> None:
    found = session.api.get(ROUTE)
    if session.shown_as_json(found):
        return
    output.heading(f"Mail to {found['email'] or 'nobody: your account has no address'}")
    output.pairs([(row["app"] or "every app", ", ".join(row["events"]) or "all events") for row in found["mail"]])
    if not found["mail"]:
        output.note("You get no mail; `paas notifications:on` has you told about every app you may see.")


@command(
    "notifications:on",
    "Get mail about an app, or about all of yours",
    "paas notifications:on --events=deploy.failed,process.crashed",
    options=(Option("--events", "only these, with commas; default: all", value="EVENTS"), APP),
    details="Events are those of webhooks: see `paas webhooks:add --help`.",
)
def turn_on(session: Session, events: str | None) -> None:
    about = {"app": session.app} if session.app_was_named else {}
    session.api.post(ROUTE, {**about, "events": [word for word in (events or "").split(",") if word]})
    output.line(f"You get mail about {about.get('app', 'every app you may see')}.")


@command("notifications:off", "Get no more mail", "paas notifications:off -a shop", options=(APP,))
def turn_off(session: Session) -> None:
    about = {"app": session.app} if session.app_was_named else {}
    session.api.delete(ROUTE, about)
    output.line(f"You get no more mail about {about.get('app', 'every app')}.")


@command(
    "notifications:address",
    "Say where mail to you goes",
    "paas notifications:address bob@example.com",
    args=(Arg("mail", "your mail address; '' for none"),),
)
def address(session: Session, mail: str) -> None:
    found = session.api.post(f"{ROUTE}address/", {"email": mail})["email"]
    output.line(f"Mail to you goes to {found}." if found else "Your account has no mail address now.")


@command("notifications:test", "Send yourself a mail", "paas notifications:test", options=(JSON,))
def test(session: Session) -> None:
    row = session.api.post(f"{ROUTE}test/")
    if not session.shown_as_json(row):
        output.line(f"Mail {row['id']} is on its way; `paas notifications:deliveries` tells how it went.")


@command(
    "notifications:deliveries",
    "Show what was mailed to you, and how it went",
    "paas notifications:deliveries",
    options=(LIMIT, JSON),
    details="A mail that can't be sent is tried again for about eight hours.",
)
def deliveries(session: Session, limit: int | None) -> None:
    rows, total = session.page(f"{ROUTE}deliveries/", limit)
    if session.shown_as_json(rows):
        return
    output.heading("Mail to you", len(rows), total)
    if rows:
        cells = [
            (row["id"], row["time"], row["app"] or "-", row["event"], row["attempts"], state_of(row)) for row in rows
        ]
        output.table(("ID", "TIME", "APP", "EVENT", "TRIES", "STATE"), cells)
