"""Timeouts: the seconds a process gets between TERM and KILL."""

from __future__ import annotations

from typing import Any

from cli import output
from cli.errors import UsageError
from cli.pairs import parse_pairs
from cli.session import Session
from cli.table import APP, JSON, WAITING, Arg, command


@command("timeouts:list", "List an app's stop timeouts", "paas timeouts", options=(APP, JSON), bare=True)
def list_timeouts(session: Session) -> None:
    values = session.api.get(session.app_path("config", "")).get("termination_grace_period") or {}
    if session.shown_as_json(values):
        return
    output.heading(f"{session.app} Timeouts (sec)")
    output.pairs(sorted(values.items()), gap=6)
    if not values:
        output.line("Default: 30 seconds, or what KUBERNETES_POD_TERMINATION_GRACE_PERIOD_SECONDS says.")


@command(
    "timeouts:set",
    "Set the seconds process types get to stop",
    "paas timeouts:set worker=300",
    args=(Arg("type=seconds", many=True, dest="pairs"),),
    options=(APP, JSON, *WAITING),
)
def set_timeouts(session: Session, pairs: list[str]) -> None:
    values = parse_pairs(pairs)
    for kind, text in values.items():
        if not text.isdigit():
            raise UsageError(f"The timeout of {kind} is a whole number of seconds, not '{text}'.")
    apply(session, values)


@command(
    "timeouts:unset",
    "Go back to the default",
    "paas timeouts:unset worker",
    args=(Arg("type", many=True),),
    options=(APP, JSON, *WAITING),
)
def unset_timeouts(session: Session, type: list[str]) -> None:
    apply(session, dict.fromkeys(type))


def apply(session: Session, values: dict[str, Any]) -> None:
    with output.progress("Applying timeouts...", quiet=session.json):
        session.deploy(session.app_path("config", ""), {"termination_grace_period": values})
    if not session.json:
        output.line()
    list_timeouts(session)
