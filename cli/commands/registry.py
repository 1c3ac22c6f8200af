"""Credentials of a private image registry, for `paas pull`."""

from __future__ import annotations

from typing import Any

from cli import output
from cli.errors import UsageError
from cli.pairs import parse_pairs
from cli.session import Session
from cli.table import APP, JSON, WAITING, Arg, command

FIELDS = ("username", "password")


@command("registry:list", "List the registry credentials", "paas registry", options=(APP, JSON), bare=True)
def list_registry(session: Session) -> None:
    values = session.api.get(session.app_path("config", "")).get("registry") or {}
    if session.shown_as_json(values):
        return
    output.heading(f"{session.app} Registry")
    output.pairs(sorted(values.items()), gap=6)
    if not values:
        output.note("None; a private image needs `paas registry:set username=NAME password=SECRET`.")


@command(
    "registry:set",
    "Set the registry credentials",
    "paas registry:set username=bob password=secret",
    args=(Arg("key=value", "username=... and password=...", many=True, dest="pairs"),),
    options=(APP, JSON, *WAITING),
)
def set_registry(session: Session, pairs: list[str]) -> None:
    apply(session, parse_pairs(pairs))


@command(
    "registry:unset",
    "Remove registry credentials",
    "paas registry:unset username password",
    args=(Arg("key", many=True),),
    options=(APP, JSON, *WAITING),
)
def unset_registry(session: Session, key: list[str]) -> None:
    apply(session, dict.fromkeys(key))


def apply(session: Session, values: dict[str, Any]) -> None:
    for key in values:
        if key not in FIELDS:
            raise UsageError(f"'{key}' is no registry setting; it is username or password.")
    with output.progress("Applying registry information...", quiet=session.json):
        session.deploy(session.app_path("config", ""), {"registry": values})
    if not session.json:
        output.line()
    list_registry(session)
