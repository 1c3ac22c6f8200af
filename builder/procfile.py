"""Process types from a Procfile, or from what a buildpack's release step declares. Pure."""

from __future__ import annotations

import re

import yaml

from builder.errors import BuildFailed

TYPE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LINE = re.compile(r"^([A-Za-z0-9_.-]+)\s*:\s*(.*)$")
MAX_BYTES = 64 * 1024
MAX_TYPES = 100


def parse_procfile(text: str) -> dict[str, str]:
    """{type: command} of a Procfile: a YAML map as Deis reads it, or Heroku's plain lines.

    Raises: BuildFailed naming the line or the type that is wrong.
    """
    if len(text) > MAX_BYTES:
        raise BuildFailed(f"The Procfile is larger than {MAX_BYTES // 1024} KiB.")
    try:
        loaded = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        loaded = None
    if isinstance(loaded, dict) and all(isinstance(value, str) for value in loaded.values()):
        processes = {str(key): value.strip() for key, value in loaded.items()}
    else:
        processes = parse_lines(text)
    return check(processes, "Procfile")


def parse_lines(text: str) -> dict[str, str]:
    """`type: command` a line; comments and empty lines are skipped."""
    processes: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = LINE.match(line)
        if not found:
            raise BuildFailed(f"Procfile line {number} is not `type: command`: {line.strip()[:80]!r}")
        processes[found[1]] = found[2].strip()
    return processes


def parse_release(text: str) -> dict[str, str]:
    """The default process types in the YAML that `bin/release` prints; none is fine."""
    try:
        loaded = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as exc:
        raise BuildFailed("The buildpack's bin/release didn't print YAML.") from exc
    types = loaded.get("default_process_types") if isinstance(loaded, dict) else None
    if not isinstance(types, dict):
        return {}
    return check({str(key): str(value).strip() for key, value in types.items()}, "buildpack's bin/release")


def parse_release_config(text: str) -> dict[str, str]:
    """`config_vars` of bin/release: defaults of the image's environment."""
    try:
        loaded = yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        return {}
    variables = loaded.get("config_vars") if isinstance(loaded, dict) else None
    if not isinstance(variables, dict):
        return {}
    return {str(key): str(value) for key, value in variables.items() if re.fullmatch(r"[A-Za-z_]\w*", str(key))}


def check(processes: dict[str, str], source: str) -> dict[str, str]:
    if len(processes) > MAX_TYPES:
        raise BuildFailed(f"The {source} declares {len(processes)} process types; at most {MAX_TYPES} fit.")
    for name, command in processes.items():
        if not TYPE.fullmatch(name):
            raise BuildFailed(f"The {source} has a process type {name[:40]!r}: only a-z, 0-9 and single hyphens go.")
        if not command:
            raise BuildFailed(f"The {source} gives no command for process type {name!r}.")
        if "\0" in command or "\n" in command:
            raise BuildFailed(f"The {source}'s command for {name!r} spans lines; put it into a script.")
    return processes
