"""Maintenance: the router answers 503 for the app, on purpose."""

from __future__ import annotations

from cli import output
from cli.session import Session
from cli.table import APP, JSON, command


@command("maintenance:info", "Show whether maintenance is on", "paas maintenance", options=(APP, JSON), bare=True)
def info(session: Session) -> None:
    on = bool(session.api.get(session.app_path("settings", "")).get("maintenance"))
    if not session.shown_as_json({"maintenance": on}):
        output.line(f"Maintenance mode is {'on' if on else 'off'}.")


@command("maintenance:on", "Show visitors the maintenance page", "paas maintenance:on", options=(APP,))
def turn_on(session: Session) -> None:
    with output.progress(f"Enabling maintenance mode for {session.app}..."):
        session.api.post(session.app_path("settings", ""), {"maintenance": True})


@command("maintenance:off", "Show visitors the app again", "paas maintenance:off", options=(APP,))
def turn_off(session: Session) -> None:
    with output.progress(f"Disabling maintenance mode for {session.app}..."):
        session.api.post(session.app_path("settings", ""), {"maintenance": False})
