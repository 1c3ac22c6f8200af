"""How an app's releases go live: how many processes at a time, how long, and whether a failing one is taken back."""

from __future__ import annotations

from typing import Any

from cli import output
from cli.client import DEPLOY
from cli.errors import UsageError
from cli.pairs import parse_pairs
from cli.session import Session
from cli.table import APP, JSON, Arg, command

MEANINGS = {
    "surge": "processes started beyond the wished number, or a part of it (25%)",
    "unavailable": "processes that may be missing meanwhile, or a part of them",
    "timeout": "seconds for one batch of processes to come up",
    "release_timeout": "seconds for the release command",
    "watch": "seconds a release is watched after it went live; 0: not at all",
    "rollback": "on: a release that fails while it is watched is taken back",
    "errors": "percent of a watched release's answers that may be 5xx",
}
NUMBERS = ("timeout", "release_timeout", "watch", "errors")
SWITCH = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
NAMES = ", ".join(name.replace("_", "-") for name in MEANINGS)


@command("deploys:list", "Show how an app's releases go live", "paas deploys", options=(APP, JSON), bare=True)
def list_rules(session: Session) -> None:
    show_rules(session, session.api.get(session.app_path("deploy", "")))


def show_rules(session: Session, rules: dict[str, Any]) -> None:
    if session.shown_as_json(rules):
        return
    output.heading(f"{session.app} Deploys")
    rows = []
    for name, meaning in MEANINGS.items():
        value = rules.get(name)
        text = ("on" if value else "off") if name == "rollback" else "one per node" if value is None else value
        own = "" if name in rules.get("set", ()) else " (default)"
        rows.append((name.replace("_", "-"), f"{text}{own}", meaning))
    output.columns(rows)


@command(
    "deploys:set",
    "Set how an app's releases go live, from the next one on",
    "paas deploys:set surge=50% watch=300 rollback=off",
    args=(Arg("name=value", NAMES, many=True, dest="pairs"),),
    options=(APP, JSON),
)
def set_rules(session: Session, pairs: list[str]) -> None:
    changes = {named(name): parse_rule(named(name), text) for name, text in parse_pairs(pairs).items()}
    apply(session, changes)


@command(
    "deploys:unset",
    "Go back to the default",
    "paas deploys:unset watch",
    args=(Arg("name", NAMES, many=True),),
    options=(APP, JSON),
)
def unset_rules(session: Session, name: list[str]) -> None:
    apply(session, {named(one): None for one in name})


def apply(session: Session, changes: dict[str, Any]) -> None:
    with output.progress("Applying deploy settings...", quiet=session.json):
        rules = session.api.post(session.app_path("deploy", ""), changes)
    if not session.json:
        output.line()
    show_rules(session, rules)


def named(text: str) -> str:
    name = text.replace("-", "_")
    if name not in MEANINGS:
        raise UsageError(f"'{text}' is no deploy setting; there are {NAMES}.")
    return name


def parse_rule(name: str, text: str) -> Any:
    """The value as the controller takes it."""
    if name == "rollback":
        if text.lower() not in SWITCH:
            raise UsageError(f"rollback is on or off, not '{text}'.")
        return SWITCH[text.lower()]
    if text.isdigit():
        return int(text)
    if name in NUMBERS:
        raise UsageError(f"{name.replace('_', '-')} is a whole number, not '{text}'.")
    return text


@command(
    "deploys:cancel",
    "Stop the deploy or scaling that is under way; what ran before goes on",
    "paas deploys:cancel",
    options=(APP, JSON),
)
def cancel(session: Session) -> None:
    with output.progress("Cancelling...", quiet=session.json) as step:
        answer = session.api.post(session.app_path("deploy", "cancel", ""), timeout=DEPLOY)
        back = answer.get("back_to")
        what = f"v{answer['release']}" if answer["kind"] == "deploy" else answer["kind"]
        step.result = f"done, {what} is cancelled, {f'v{back} goes on' if back else 'nothing runs'}"
    session.shown_as_json(answer)
