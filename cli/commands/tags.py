"""Tags: which nodes an app may run on, by their labels."""

from __future__ import annotations

from typing import Any

from cli import output
from cli.pairs import parse_pairs
from cli.session import Session
from cli.table import APP, JSON, WAITING, Arg, command


@command("tags:list", "List an app's node tags", "paas tags", options=(APP, JSON), bare=True)
def list_tags(session: Session) -> None:
    tags = session.api.get(session.app_path("config", "")).get("tags") or {}
    if session.shown_as_json(tags):
        return
    output.heading(f"{session.app} Tags")
    output.pairs(sorted(tags.items()), gap=6)
    if not tags:
        output.note("None: it runs on any node; `paas tags:set KEY=VALUE` keeps it to nodes with that label.")


@command(
    "tags:set",
    "Run the app only on nodes with these labels",
    "paas tags:set disk=ssd",
    args=(Arg("key=value", many=True, dest="pairs"),),
    options=(APP, JSON, *WAITING),
)
def set_tags(session: Session, pairs: list[str]) -> None:
    apply(session, parse_pairs(pairs))


@command(
    "tags:unset",
    "Remove node tags",
    "paas tags:unset disk",
    args=(Arg("key", many=True),),
    options=(APP, JSON, *WAITING),
)
def unset_tags(session: Session, key: list[str]) -> None:
    apply(session, dict.fromkeys(key))


def apply(session: Session, values: dict[str, Any]) -> None:
    with output.progress("Applying tags...", quiet=session.json):
        session.deploy(session.app_path("config", ""), {"tags": values})
    if not session.json:
        output.line()
    list_tags(session)
