"""Routing: whether the router knows the app."""

from __future__ import annotations

from cli import output
from cli.session import Session
from cli.table import APP, JSON, command


@command("routing:info", "Show whether the app is routed", "paas routing", options=(APP, JSON), bare=True)
def info(session: Session) -> None:
    on = session.api.get(session.app_path("settings", "")).get("routable") is not False
    if not session.shown_as_json({"routable": on}):
        output.line(f"Routing is {'enabled' if on else 'disabled'}.")


@command("routing:enable", "Route traffic to the app", "paas routing:enable", options=(APP,))
def enable(session: Session) -> None:
    with output.progress(f"Enabling routing for {session.app}..."):
        session.api.post(session.app_path("settings", ""), {"routable": True})


@command("routing:disable", "Route no traffic to the app", "paas routing:disable", options=(APP,))
def disable(session: Session) -> None:
    with output.progress(f"Disabling routing for {session.app}..."):
        session.api.post(session.app_path("settings", ""), {"routable": False})
