"""`heroku.yml`: which Dockerfile is built with which arguments, and what runs. Pure but for reading the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from builder import procfile, snapshot
from builder.errors import BuildFailed

NAME = "heroku.yml"
MAX = 64 * 1024


@dataclass(frozen=True)
class HerokuYml:
    dockerfile: str  # path in the tree; its folder is the build's context
    target: str = ""
    args: dict[str, str] = field(default_factory=dict)
    processes: dict[str, str] = field(default_factory=dict)  # `release` among them


def load(tree: Path) -> HerokuYml | None:
    """What the tree's heroku.yml says, or None when there is none. Raises: BuildFailed naming the key."""
    try:
        text = snapshot.read_inside(tree, NAME, MAX).decode(errors="replace")
    except FileNotFoundError:
        return None
    return parse(text)


def parse(text: str) -> HerokuYml:
    """Raises: BuildFailed naming the key that is wrong or can't be served."""
    try:
        loaded = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as exc:
        where = getattr(exc, "problem_mark", None)
        raise BuildFailed(f"heroku.yml is not valid YAML{f' in line {where.line + 1}' if where else ''}.") from exc
    document = table(loaded, "it")
    build = table(document.get("build"), "build")
    docker = table(build.get("docker"), "build.docker")
    if not docker:
        raise BuildFailed("heroku.yml names no Dockerfile: write  build: {docker: {web: Dockerfile}}")
    images = {name: read_image(name, value) for name, value in docker.items()}
    if len(set(images.values())) > 1:
        raise BuildFailed(
            "heroku.yml builds different images for its process types; a release here has one image for all of them. "
            "Name the same Dockerfile and target for each, and tell commands apart under run."
        )
    dockerfile, target = next(iter(images.values()))
    args = {key: str(value) for key, value in table(build.get("config"), "build.config").items()}
    processes = {name: command(value, f"run.{name}") for name, value in table(document.get("run"), "run").items()}
    if "release" in document:
        processes["release"] = command(document["release"], "release")
    return HerokuYml(dockerfile, target, args, procfile.check(processes, NAME))


def read_image(name: str, value: Any) -> tuple[str, str]:
    """(Dockerfile, target) of an entry under build.docker: a path, or a map."""
    if isinstance(value, str):
        return value, ""
    entry = table(value, f"build.docker.{name}")
    return str(entry.get("dockerfile") or "Dockerfile"), str(entry.get("target") or "")


def command(value: Any, key: str) -> str:
    """A command: text, a list that runs one after the other, or a map with `command`."""
    if isinstance(value, Mapping):
        value = value.get("command")
    if isinstance(value, list) and value and all(isinstance(item, str) and item for item in value):
        return " && ".join(value)
    if isinstance(value, str) and value:
        return value
    raise BuildFailed(f"heroku.yml: {key} has no command.")


def table(value: Any, key: str) -> dict[str, Any]:
    if value in (None, ""):
        return {}
    if not isinstance(value, dict):
        raise BuildFailed(f"heroku.yml: {key} must be a map.")
    return value
