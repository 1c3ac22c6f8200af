"""Config that apps share: groups attached to several apps, and links to another app's variables."""

from __future__ import annotations

from typing import Any

from cli import output
from cli.client import path
from cli.commands.config_values import SECRET, given_pairs, secret_names
from cli.errors import UsageError
from cli.session import Session
from cli.table import APP, JSON, LIMIT, Arg, Option, command

GROUP = Arg("group")
ROUTE = "/v2/config-groups/"


@command("config:groups", "List the config groups you may use", "paas config:groups", options=(LIMIT, JSON))
def list_groups(session: Session, limit: int | None) -> None:
    groups, total = session.page(ROUTE, limit)
    if session.shown_as_json(groups):
        return
    output.heading("Config Groups", len(groups), total)
    output.pairs([(group["name"], f"team {group['team']}" if group["team"] else group["owner"]) for group in groups])
    if not groups:
        output.note("None yet; `paas config:groups:create shared` makes one.")


@command(
    "config:groups:info",
    "Show a group's variables and apps",
    "paas config:groups:info shared",
    args=(GROUP,),
    options=(JSON,),
)
def info(session: Session, group: str) -> None:
    found = session.api.get(path("config-groups", group, ""))
    if not session.shown_as_json(found):
        show_group(found)


def show_group(found: dict[str, Any]) -> None:
    output.heading(f"{found['name']} Config Group")
    output.pairs(sorted(found["values"].items()), gap=6)
    output.line(f"Attached to: {', '.join(found['apps']) or 'no app; `paas config:groups:attach` attaches it'}")


@command(
    "config:groups:create",
    "Make a group of variables that several apps get",
    "paas config:groups:create shared --team=backend",
    args=(GROUP,),
    options=(Option("--team", "its members may use and change it, too", value="TEAM"),),
)
def create(session: Session, group: str, team: str | None) -> None:
    with output.progress(f"Creating config group {group}..."):
        session.api.post(ROUTE, {"name": group} | ({"team": team} if team else {}))


@command("config:groups:destroy", "End a group that no app has", "paas config:groups:destroy shared", args=(GROUP,))
def destroy(session: Session, group: str) -> None:
    with output.progress(f"Destroying config group {group}..."):
        session.api.delete(path("config-groups", group, ""))


@command(
    "config:groups:set",
    "Set variables of a group; every app that has it gets a release",
    "paas config:groups:set shared REGION=north",
    args=(GROUP, Arg("var=value", "KEY=- reads the value from standard input", many=True, dest="pairs")),
    options=(SECRET, JSON),
)
def set_values(session: Session, group: str, pairs: list[str], secret: bool | None) -> None:
    values = given_pairs(pairs)
    change(session, group, {"values": values, **secret_names(values, secret)})


@command(
    "config:groups:unset",
    "Remove variables from a group; every app that has it gets a release",
    "paas config:groups:unset shared REGION",
    args=(GROUP, Arg("key", many=True)),
    options=(JSON,),
)
def unset_values(session: Session, group: str, key: list[str]) -> None:
    change(session, group, {"values": dict.fromkeys(key)})


def change(session: Session, group: str, body: dict[str, Any]) -> None:
    with output.progress(f"Changing config group {group}...", quiet=session.json) as step:
        found = session.api.post(path("config-groups", group, ""), body)
        apps = len(found["apps"])
        step.result = f"done; {apps} app{'s get' if apps != 1 else ' gets'} a release" if apps else "done"
    if not session.shown_as_json(found):
        output.line()
        show_group(found)


@command(
    "config:groups:attach",
    "Give an app a group's variables",
    "paas config:groups:attach shared",
    args=(GROUP,),
    options=(APP,),
)
def attach(session: Session, group: str) -> None:
    with output.progress(f"Attaching config group {group} to {session.app}..."):
        session.api.post(session.app_path("config-groups", ""), {"group": group})


@command(
    "config:groups:detach",
    "Take a group's variables from an app",
    "paas config:groups:detach shared",
    args=(GROUP,),
    options=(APP,),
)
def detach(session: Session, group: str) -> None:
    with output.progress(f"Detaching config group {group} from {session.app}..."):
        session.api.delete(session.app_path("config-groups", group))


@command(
    "config:link",
    "Make a variable follow another app's",
    "paas config:link DATABASE_URL store.URL",
    args=(Arg("key"), Arg("app.key", "the other app and its variable", dest="source")),
    options=(APP,),
    details="When the other changes, this app gets a release. You need to see both apps' config.",
)
def link(session: Session, key: str, source: str) -> None:
    app, dot, source_key = source.partition(".")
    if not (app and dot and source_key):
        raise UsageError(f"'{source}' names no app's variable; write APP.KEY.")
    with output.progress(f"Linking {key} of {session.app} to {source}..."):
        body = {"key": key, "source": app, "source_key": source_key}
        session.api.post(session.app_path("config-links", ""), body)


@command(
    "config:unlink",
    "End a link to another app's variable",
    "paas config:unlink DATABASE_URL",
    args=(Arg("key"),),
    options=(APP,),
)
def unlink(session: Session, key: str) -> None:
    with output.progress(f"Unlinking {key} of {session.app}..."):
        session.api.delete(session.app_path("config-links", key))
