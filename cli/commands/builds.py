"""Builds: images made from pushes or pulled from a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli import output
from cli.client import DEPLOY
from cli.errors import UsageError
from cli.session import Session
from cli.table import APP, JSON, LIMIT, Arg, Option, command


@command("builds:list", "List an app's builds, newest first", "paas builds", options=(LIMIT, APP, JSON), bare=True)
def list_builds(session: Session, limit: int | None) -> None:
    builds, total = session.page(session.app_path("builds", ""), limit)
    if session.shown_as_json(builds):
        return
    output.heading(f"{session.app} Builds", len(builds), total)
    for build in builds:
        output.line(f"{build['uuid']} {build['created']}")


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
    ),
)
def create(session: Session, image: str, procfile: str | None) -> None:
    body: dict[str, Any] = {"image": image}
    if procfile is None and Path("Procfile").is_file():
        procfile = Path("Procfile").read_text()
    if procfile:
        body["procfile"] = parse_procfile(procfile)
    with output.progress("Creating build...", quiet=session.json):
        build = session.api.post(session.app_path("builds", ""), body, timeout=DEPLOY)
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
