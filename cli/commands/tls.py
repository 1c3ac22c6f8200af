"""TLS: whether visitors are sent to https."""

from __future__ import annotations

from cli import output
from cli.session import Session
from cli.table import APP, JSON, command

WORDS = {True: "true", False: "false", None: "not set"}


@command("tls:info", "Show whether https is enforced", "paas tls", options=(APP, JSON), bare=True)
def info(session: Session) -> None:
    tls = session.api.get(session.app_path("tls", ""))
    if session.shown_as_json(tls):
        return
    output.heading(f"{session.app} TLS")
    output.line(f"HTTPS Enforced: {WORDS[tls['https_enforced']]}")


@command("tls:enable", "Redirect every visitor to https", "paas tls:enable", options=(APP,))
def enable(session: Session) -> None:
    with output.progress(f"Enabling https-only requests for {session.app}..."):
        session.api.post(session.app_path("tls", ""), {"https_enforced": True})


@command("tls:disable", "Answer on http as well", "paas tls:disable", options=(APP,))
def disable(session: Session) -> None:
    with output.progress(f"Disabling https-only requests for {session.app}..."):
        session.api.post(session.app_path("tls", ""), {"https_enforced": False})
