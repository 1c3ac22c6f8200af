"""Pipelines: apps as the stages of one product; what runs in one is promoted to the next as it is, without a build."""

from __future__ import annotations

from typing import Any

from cli import output, prompts
from cli.client import DEPLOY, path
from cli.commands.releases import show_diff
from cli.errors import CliError, UsageError
from cli.session import Session
from cli.table import APP, JSON, LIMIT, WAITING, Arg, Option, command

STAGE = Option("--stage", "the stage's name", short="-s", value="STAGE")


@command("pipelines:list", "List the pipelines you can see", "paas pipelines", options=(LIMIT, JSON), bare=True)
def list_pipelines(session: Session, limit: int | None) -> None:
    found, total = session.page("/v2/pipelines/", limit)
    if session.shown_as_json(found):
        return
    output.heading("Pipelines", len(found), total)
    for pipeline in found:
        output.line(pipeline["name"])
    if not found:
        output.note("None yet; `paas pipelines:create shop` makes one.")


@command(
    "pipelines:create",
    "Make a pipeline; its stages are development, staging and production unless you name others",
    "paas pipelines:create shop --stages=staging,production",
    args=(Arg("name"),),
    options=(Option("--stages", "names in order, separated by commas", value="A,B"), JSON),
)
def create(session: Session, name: str, stages: str | None) -> None:
    body: dict[str, Any] = {"name": name}
    if stages:
        body["stages"] = [stage.strip() for stage in stages.split(",")]
    with output.progress(f"Creating pipeline {name}...", quiet=session.json):
        data = session.api.post("/v2/pipelines/", body)
    session.shown_as_json(data)


@command(
    "pipelines:info",
    "Show a pipeline: its stages, their apps, and what runs there",
    "paas pipelines:info shop",
    args=(Arg("name"),),
    options=(JSON,),
)
def info(session: Session, name: str) -> None:
    data = session.api.get(path("pipelines", name, ""))
    if session.shown_as_json(data):
        return
    output.heading(f"{name} Pipeline")
    for stage in data["stages"]:
        output.line(f"--- {stage['name']}:")
        for app in stage["apps"]:
            code = app["sha"][:8] or app["image"].rpartition("/")[2] or "nothing yet"
            version = f"v{app['version']}" if app["version"] else "-"
            output.line(f"{app['app']}  {version}  {code}")


@command(
    "pipelines:add",
    "Put an app into a stage of a pipeline",
    "paas pipelines:add shop --stage=staging -a shop-staging",
    args=(Arg("name"),),
    options=(STAGE, APP, JSON),
)
def add(session: Session, name: str, stage: str | None) -> None:
    if not stage:
        raise UsageError("pipelines:add needs --stage, for example --stage=staging.")
    with output.progress(f"Adding {session.app} to {name} as {stage}...", quiet=session.json):
        data = session.api.post(path("pipelines", name, "apps", ""), {"app": session.app, "stage": stage})
    session.shown_as_json(data)


@command(
    "pipelines:remove",
    "Take an app out of a pipeline; the app itself stays",
    "paas pipelines:remove shop -a shop-staging",
    args=(Arg("name"),),
    options=(APP,),
)
def remove(session: Session, name: str) -> None:
    with output.progress(f"Removing {session.app} from {name}..."):
        session.api.delete(path("pipelines", name, "apps", session.app, ""))


@command(
    "pipelines:promote",
    "Release an app's exact image in the next stage, or in the apps you name; config stays each app's own",
    "paas promote -a shop-staging",
    options=(
        Option("--to", "apps, separated by commas; those of the next stage when missing", short="-t", value="APPS"),
        Option("--release", "promote this release instead of the one that is live", value="vN"),
        APP,
        JSON,
        *WAITING,
    ),
)
def promote(session: Session, to: str | None, release: str | None) -> int:
    body: dict[str, Any] = {}
    if to:
        body["to"] = [name.strip() for name in to.split(",")]
    if release:
        body["version"] = int(release.removeprefix("v")) if release.removeprefix("v").isdigit() else release
    with output.progress(f"Promoting {session.app}...", quiet=session.json) as step:
        data = session.deploy(session.app_path("promote", ""), body)
        failed = [result for result in data["results"] if result["state"] == "failed"]
        step.result = f"{len(failed)} of {len(data['results'])} failed" if failed else "done"
    if session.shown_as_json(data):
        return int(bool(failed))
    for result in data["results"]:
        version = f" v{result['version']}" if result["version"] else ""
        output.line(f"{result['app']}{version}: {result['reason'] or result['state']}")
    return int(bool(failed))


@command(
    "pipelines:diff",
    "Show what differs between what runs in two stages or apps",
    "paas pipelines:diff shop staging production",
    args=(Arg("name"), Arg("from", "a stage with one app, or an app", dest="old"), Arg("to", dest="new")),
    options=(JSON,),
)
def diff(session: Session, name: str, old: str, new: str) -> None:
    stages: dict[str, Any] = {"from": old, "to": new}
    data = session.api.get(path("pipelines", name, "diff", ""), **stages)
    if session.shown_as_json(data):
        return
    output.heading(f"{data['from']['app']} v{data['from']['version']} to {data['to']['app']} v{data['to']['version']}")
    show_diff(data)


@command(
    "pipelines:destroy",
    "Remove a pipeline; its apps stay",
    "paas pipelines:destroy shop --confirm=shop",
    args=(Arg("name"),),
    options=(Option("--confirm", "the pipeline's name again, instead of being asked", value="NAME"),),
)
def destroy(session: Session, name: str, confirm: str | None) -> None:
    if confirm is None:
        confirm = prompts.ask(f"Type {name} to remove the pipeline (its apps stay): ")
    if confirm != name:
        raise CliError(f"'{confirm}' is not {name}: nothing was removed.")
    with output.progress(f"Removing pipeline {name}..."):
        session.api.delete(path("pipelines", name, ""), timeout=DEPLOY)
