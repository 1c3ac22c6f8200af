"""Builds: images made from pushes or pulled from a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli import output
from cli.errors import NotFound, UsageError
from cli.pairs import parse_pairs
from cli.session import Session
from cli.system import read_text
from cli.table import APP, JSON, LIMIT, WAITING, Arg, Option, command

NUMBER = Arg("number", "as `paas builds --all` shows it; default: the newest", required=False)
WHEN_UNSET = {"root": "the top folder", "paths": "all of the root", "submodules": "no"}
STATES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "building": "cyan", "queued": "cyan"}


@command(
    "builds:list",
    "List an app's builds, newest first",
    "paas builds --all",
    options=(Option("--all", "with those that failed, who built, from where, and why they failed"), LIMIT, APP, JSON),
    bare=True,
)
def list_builds(session: Session, limit: int | None, all: bool | None) -> None:
    if all:
        list_runs(session, limit)
        return
    builds, total = session.page(session.app_path("builds", ""), limit)
    if session.shown_as_json(builds):
        return
    output.heading(f"{session.app} Builds", len(builds), total)
    for build in builds:
        output.line(f"{build['uuid']} {build['created']}")
    output.note("`paas builds --all` shows those that failed as well, and why.")


def list_runs(session: Session, limit: int | None) -> None:
    runs, total = session.page(session.app_path("build-runs", ""), limit)
    if session.shown_as_json(runs):
        return
    output.heading(f"{session.app} Builds", len(runs), total)
    rows = [
        (run["number"], run["state"], run["created"], took(run), run["by"] or "", run["source"], run["sha"][:8],
         f"v{run['release']}" if run["release"] else "", run["cause"])
        for run in runs
    ]  # fmt: skip
    output.table(("No", "State", "Created", "Took", "By", "From", "Commit", "Release", "Cause"), rows)


def took(run: dict[str, Any]) -> str:
    return "" if run["seconds"] is None else f"{run['seconds']:.1f} s"


def one_run(session: Session, number: str | None) -> dict[str, Any]:
    """The build called `number`, the newest without one. Raises: UsageError, NotFound."""
    if number is None:
        runs, _ = session.page(session.app_path("build-runs", ""), 1)
        if not runs:
            raise NotFound(f"{session.app} has no build yet; `git push deis master` makes one.")
        newest: dict[str, Any] = runs[0]
        return newest
    if not number.isdigit():
        raise UsageError(f"{number!r} is no build's number; `paas builds --all` shows them.")
    found: dict[str, Any] = session.api.get(session.app_path("build-runs", number, ""))
    return found


@command(
    "builds:info",
    "Show who built what, from where, how long it took, and why it failed",
    "paas builds:info 12",
    args=(NUMBER,),
    options=(APP, JSON),
)
def info(session: Session, number: str | None) -> None:
    run = one_run(session, number)
    if session.shown_as_json(run):
        return
    output.heading(f"{session.app} Build {run['number']}")
    rows = [
        ("state", output.paint(run["state"], STATES.get(run["state"], "bold"))),
        ("by", run["by"]),
        ("from", f"{run['source']} {run['origin']}".strip()),
        ("ref", run["ref"]),
        ("commit", run["sha"]),
        ("created", run["created"]),
        ("took", took(run)),
        ("release", f"v{run['release']}" if run["release"] else ""),
        ("image", run["image"]),
        ("cause", run["cause"]),
        ("next", run["hint"]),
    ]
    output.pairs([(name, value) for name, value in rows if value], suffix=":")


@command(
    "builds:output",
    "Print everything a build said",
    "paas builds:output 12",
    args=(NUMBER,),
    options=(Option("--follow", "go on until a build under way ends", short="-f"), APP),
)
def show_output(session: Session, number: str | None, follow: bool | None) -> int:
    run = one_run(session, number)
    return print_output(session, run["number"], bool(follow))


def print_output(session: Session, number: int, follow: bool) -> int:
    """Its output; followed to the end, the exit code tells whether it succeeded."""
    query = {"follow": "true"} if follow else {}
    for line in session.api.stream(f"/builder/apps/{session.app}/builds/{number}/output", **query):
        if line or not follow:
            output.line(line)
    if not follow:
        return 0
    return 0 if one_run(session, str(number))["state"] in ("succeeded", "skipped") else 1


@command(
    "builds:cancel",
    "Stop a build that waits or is under way",
    "paas builds:cancel",
    args=(NUMBER,),
    options=(APP,),
)
def cancel(session: Session, number: str | None) -> None:
    run = one_run(session, number)
    with output.progress(f"Cancelling build {run['number']}..."):
        if run["state"] == "queued":
            run = session.api.post(session.app_path("build-runs", str(run["number"]), "cancel"))
        if run["state"] != "cancelled":
            session.api.post(f"/builder/apps/{session.app}/builds/{run['number']}/cancel")


@command("builds:settings", "Show how source is built", "paas builds:settings", options=(APP, JSON))
def settings(session: Session) -> None:
    values = session.api.get(session.app_path("build-settings", ""))
    if session.shown_as_json(values):
        return
    output.heading(f"{session.app} Build Settings")
    output.pairs([(name, shown(name, value)) for name, value in sorted(values.items())])


def shown(name: str, value: Any) -> str:
    if not value:
        return WHEN_UNSET[name]
    return ",".join(value) if isinstance(value, list) else "yes" if value is True else str(value)


@command(
    "builds:set",
    "Set how source is built: root=FOLDER, paths=FOLDER,FILE, submodules=yes",
    "paas builds:set root=services/api paths=services/api,lib",
    args=(Arg("key=value", "root, paths or submodules", many=True, dest="pairs"),),
    options=(APP, JSON),
    details="`root` is the folder of the repository that is the app. A push that changes nothing in `paths` (or the "
    "root, without them) is taken and not built. `submodules=yes` fetches submodules.",
)
def set_settings(session: Session, pairs: list[str]) -> None:
    changes: dict[str, Any] = {}
    for key, value in parse_pairs(pairs).items():
        changes[key] = build_setting(key, str(value))
    session.api.post(session.app_path("build-settings", ""), changes)
    settings(session)


@command(
    "builds:unset",
    "Take build settings back to their default",
    "paas builds:unset root paths",
    args=(Arg("key", "root, paths or submodules", many=True),),
    options=(APP, JSON),
)
def unset_settings(session: Session, key: list[str]) -> None:
    for name in key:
        build_setting(name, "no")
    session.api.post(session.app_path("build-settings", ""), dict.fromkeys(key))
    settings(session)


def build_setting(key: str, value: str) -> Any:
    """The value as the controller takes it. Raises: UsageError."""
    if key == "root":
        return value
    if key == "paths":
        return [part.strip() for part in value.split(",") if part.strip()]
    if key == "submodules" and value.lower() in ("yes", "no", "true", "false", "on", "off"):
        return value.lower() in ("yes", "true", "on")
    if key == "submodules":
        raise UsageError("submodules is yes or no.")
    raise UsageError(f"'{key}' is no build setting; it is root, paths or submodules.")


@command(
    "builds:create",
    "Release an image from a registry",
    "paas pull registry.example.com/team/hello:1.4",
    args=(Arg("image", "registry/name:tag"),),
    options=(
        Option(
            "--procfile",
            "process types, as `web: command` lines; ./Procfile when missing",
            short="-p",
            value="LINES",
        ),
        APP,
        JSON,
        *WAITING,
    ),
)
def create(session: Session, image: str, procfile: str | None) -> None:
    body: dict[str, Any] = {"image": image}
    if procfile is None and Path("Procfile").is_file():
        procfile = read_text(Path("Procfile"))
    if procfile:
        body["procfile"] = parse_procfile(procfile)
    with output.progress("Creating build...", quiet=session.json):
        build = session.deploy(session.app_path("builds", ""), body)
    session.shown_as_json(build)


def parse_procfile(text: str) -> dict[str, str]:
    """`type: command` lines, or the JSON object that some scripts pass."""
    import json

    if text.lstrip().startswith("{"):
        try:
            return {str(kind): str(line) for kind, line in json.loads(text).items()}
        except ValueError as exc:
            raise UsageError(f"The Procfile is no valid JSON ({exc}); write `web: command` lines.") from exc
    types = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        kind, colon, run = line.partition(":")
        if not colon or not run.strip():
            raise UsageError(f"'{line.strip()}' is no Procfile line; write `web: command`.")
        types[kind.strip()] = _unquoted(run.strip())
    return types


def _unquoted(text: str) -> str:
    """YAML allows the whole command in quotes."""
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" and text.count(text[0]) == 2
    return text[1:-1] if quoted else text
