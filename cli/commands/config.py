"""Config: an app's environment variables. Every change makes a release."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from cli import output, prompts
from cli.client import DEPLOY
from cli.errors import CliError, UsageError
from cli.session import Session
from cli.table import APP, JSON, Arg, Option, command

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
ENV_FILE = ".env"


@command(
    "config:list",
    "List an app's environment variables",
    "paas config",
    options=(
        Option("--oneline", "all on one line"),
        Option("--diff", "one KEY=value a line, to compare with another app's"),
        APP,
        JSON,
    ),
    bare=True,
)
def list_config(session: Session, oneline: bool | None = None, diff: bool | None = None) -> None:
    values = read_values(session)
    if session.shown_as_json(values):
        return
    rows = sorted(values.items())
    if oneline:
        output.line(" ".join(f"{key}={value}" for key, value in rows))
    elif diff:
        for key, value in rows:
            output.line(f"{key}={value}")
    else:
        output.heading(f"{session.app} Config")
        output.pairs(rows, gap=6)


@command(
    "config:set",
    "Set environment variables, and release the app with them",
    "paas config:set GREETING=hi COLOUR='deep blue'",
    args=(Arg("var=value", "SSH_KEY may name a file", many=True, dest="pairs"),),
    options=(APP, JSON),
)
def set_config(session: Session, pairs: list[str]) -> None:
    apply_values(session, dict(parse_pair(text) for text in pairs))


@command(
    "config:unset",
    "Remove environment variables, and release the app without them",
    "paas config:unset GREETING",
    args=(Arg("key", many=True),),
    options=(APP, JSON),
)
def unset_config(session: Session, key: list[str]) -> None:
    with output.progress("Removing config...", quiet=session.json):
        post_values(session, dict.fromkeys(key))
    if not session.json:
        output.line()
    list_config(session)


@command(
    "config:pull",
    "Write the variables to .env here, or to standard output when that is no terminal",
    "paas config:pull --overwrite",
    options=(
        Option("--interactive", "ask before each variable that the file has differently", short="-i"),
        Option("--overwrite", "replace what the file says", short="-o"),
        APP,
    ),
)
def pull(session: Session, interactive: bool | None, overwrite: bool | None) -> None:
    values = read_values(session)
    if not sys.stdout.isatty():
        for key, value in sorted(values.items()):
            output.line(f"{key}={value}")
        return
    target = Path(ENV_FILE)
    present = parse_env(target.read_text()) if target.exists() else {}
    if present and not (overwrite or interactive):
        raise UsageError(f"{ENV_FILE} exists; replace its variables with -o, or be asked for each with -i.")
    merged = present | {key: value for key, value in values.items() if key not in present or overwrite}
    for key in sorted(set(values) & set(present)) if interactive and not overwrite else []:
        if values[key] != present[key] and prompts.ask(f"{key}: {present[key]} -> {values[key]}? (y/N) ") == "y":
            merged[key] = values[key]
    target.write_text("".join(f"{key}={value}\n" for key, value in sorted(merged.items())))
    target.chmod(0o600)


@command(
    "config:push",
    "Set the variables of a file, or of standard input",
    "paas config:push -p production.env",
    options=(
        Option("--path", f"the file; without it what is piped in, else {ENV_FILE}", short="-p", value="FILE"),
        APP,
        JSON,
    ),
    details="Lines are KEY=value; empty lines and those that begin with # are left out.",
)
def push(session: Session, path: str | None) -> None:
    piped = sys.stdin.read() if path is None and not sys.stdin.isatty() else ""
    apply_values(session, parse_env(piped if piped.strip() else read_file(path or ENV_FILE)))


def read_file(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is no text"
        raise UsageError(f"{path} can't be read ({reason}); name the file with -p.") from exc


@command(
    "config:edit",
    "Change an app's variables in your editor, all in one release",
    "EDITOR=nano paas config:edit",
    options=(APP,),
    details="A line that is gone unsets its variable. Values of several lines are not shown and stay as they are.",
)
def edit(session: Session) -> None:
    before = {key: value for key, value in read_values(session).items() if "\n" not in value}
    after = edit_text("".join(f"{key}={value}\n" for key, value in sorted(before.items())))
    changes = plan_changes(before, parse_env(after))
    if not changes:
        output.line("Nothing changed.")
        return
    with output.progress("Changing config..."):
        post_values(session, changes)
    output.line()
    list_config(session)


def plan_changes(before: dict[str, str], after: dict[str, str]) -> dict[str, str | None]:
    """What makes `before` into `after`; None unsets."""
    gone = {key: None for key in before if key not in after}
    return gone | {key: value for key, value in after.items() if before.get(key) != value}


def edit_text(text: str) -> str:
    """`text` as the user's editor leaves it, in a file nobody else can read."""
    import shlex
    import subprocess
    import tempfile

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if sys.platform == "win32" else "vi")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.env"
        file.write_text(text)
        file.chmod(0o600)
        try:
            code = subprocess.call([*shlex.split(editor), str(file)])
        except OSError as exc:
            raise CliError(f"The editor '{editor}' can't be started ({exc.strerror}); name one in EDITOR.") from exc
        if code:
            raise CliError(f"The editor ended with code {code}: nothing was changed.")
        return file.read_text()


def parse_env(text: str) -> dict[str, str]:
    lines = (line.strip() for line in text.splitlines())
    return dict(parse_pair(line) for line in lines if line and not line.startswith("#"))


def parse_pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not KEY.fullmatch(key):
        raise UsageError(f"'{text}' is no variable; write KEY=value, the key of letters, digits and _.")
    return key, encode_ssh_key(value) if key == "SSH_KEY" else value


def encode_ssh_key(value: str) -> str:
    """A private key's text or file, as the builder wants it: base64 on one line."""
    from base64 import b64encode

    file = Path(value).expanduser()
    if "PRIVATE KEY" not in value and len(value) < 1000 and file.is_file():
        value = file.read_text()
    if "PRIVATE KEY" not in value:
        raise UsageError("SSH_KEY takes a private key or the path of one.")
    return b64encode(value.encode()).decode()


def apply_values(session: Session, values: dict[str, str]) -> None:
    if not values:
        raise UsageError("There is no variable to set; write them as KEY=value.")
    if any(key.startswith("HEALTHCHECK_") for key in values):
        output.note("HEALTHCHECK_ variables are old; use `paas healthchecks:set` instead.")
    with output.progress("Creating config...", quiet=session.json) as step:
        answer = post_values(session, values)
        release = (answer.get("values") or {}).get("WORKFLOW_RELEASE")
        step.result = f"done, {release}" if release else "done"
    if not session.json:
        output.line()
    list_config(session)


def read_values(session: Session) -> dict[str, str]:
    return session.api.get(session.app_path("config", ""))["values"] or {}


def post_values(session: Session, values: dict[str, str | None]) -> dict[str, Any]:
    return session.api.post(session.app_path("config", ""), {"values": values}, timeout=DEPLOY)
