"""Labels: free notes on an app, as key=value."""

from __future__ import annotations

from cli import output
from cli.pairs import parse_pairs
from cli.session import Session
from cli.table import APP, JSON, Arg, command


@command("labels:list", "List an app's labels", "paas labels", options=(APP, JSON), bare=True)
def list_labels(session: Session) -> None:
    labels = session.api.get(session.app_path("settings", "")).get("label") or {}
    if session.shown_as_json(labels):
        return
    output.heading(f"{session.app} Label")
    if not labels:
        output.line("No labels found.")
    output.pairs(sorted(labels.items()), suffix=":")


@command(
    "labels:set",
    "Label an app",
    "paas labels:set team=frontend git_repo=https://example.com/hello",
    args=(Arg("key=value", many=True, dest="pairs"),),
    options=(APP,),
)
def set_labels(session: Session, pairs: list[str]) -> None:
    with output.progress(f"Applying labels on {session.app}..."):
        session.api.post(session.app_path("settings", ""), {"label": parse_pairs(pairs)})


@command(
    "labels:unset", "Remove labels from an app", "paas labels:unset team", args=(Arg("key", many=True),), options=(APP,)
)
def unset_labels(session: Session, key: list[str]) -> None:
    with output.progress(f"Removing labels on {session.app}..."):
        session.api.post(session.app_path("settings", ""), {"label": dict.fromkeys(key)})
