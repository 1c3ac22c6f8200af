"""Notifications: mail to you about what happens to apps."""

from __future__ import annotations

from cli import output
from cli.session import Session
from cli.table import JSON, Option, command

ROUTE = "/v2/notifications/"
APP = Option("--app", "about this app; default: about every app you may see", short="-a", value="APP")


@command("notifications:list", "List what you get mail about", "paas notifications", options=(JSON,), bare=True)
def list_notifications(session: Session) -> None:
    found = session.api.get(ROUTE)
    if session.shown_as_json(found):
        return
    output.heading(f"Mail to {found['email'] or 'nobody: your account has no address'}")
    output.pairs([(row["app"] or "every app", ", ".join(row["events"]) or "all events") for row in found["mail"]])


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
