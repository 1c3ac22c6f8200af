"""Services: paths of an app that another process type serves."""

from __future__ import annotations

from cli import output
from cli.errors import UsageError
from cli.session import Session
from cli.table import APP, JSON, Arg, Option, command


@command("services:list", "List an app's path services", "paas services", options=(APP, JSON), bare=True)
def list_services(session: Session) -> None:
    services = session.api.get(session.app_path("services", ""))["services"]
    if session.shown_as_json(services):
        return
    output.heading(f"{session.app} Services")
    output.pairs([(service["procfile_type"], service["path_pattern"]) for service in services], gap=5)
    if not services:
        output.note("None; `paas services:add --type=api --route='/api/.*'` has another process type serve a path.")


@command(
    "services:add",
    "Serve paths by another process type",
    "paas services:add --type=api --route='/api/.*'",
    options=(
        Option("--type", "the process type", value="TYPE"),
        Option("--route", "comma-separated path patterns", value="PATTERNS"),
        APP,
    ),
)
def add(session: Session, type: str | None, route: str | None) -> None:
    if not type or not route:
        raise UsageError("services:add needs --type and --route.")
    with output.progress(f"Adding {type} ({route}) to {session.app}..."):
        session.api.post(session.app_path("services", ""), {"procfile_type": type, "path_pattern": route})


@command(
    "services:remove",
    "Stop serving paths by another process type",
    "paas services:remove api",
    args=(Arg("type"),),
    options=(APP,),
)
def remove(session: Session, type: str) -> None:
    with output.progress(f"Removing {type} from {session.app}..."):
        session.api.delete(session.app_path("services", ""), {"procfile_type": type})
