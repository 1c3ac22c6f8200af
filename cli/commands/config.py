"""Config: an app's environment variables. Every change makes a release."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli import output, prompts
from cli.commands.config_values import MASK, SECRET, given_pairs, parse_env, secret_names
from cli.errors import CliError, UsageError
from cli.session import Session
from cli.system import editor_words, read_text, write_private
from cli.table import APP, JSON, WAITING, Arg, Option, command

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
    config = read_config(session)
    values = config["values"] or {}
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
        show_shared(config.get("shared") or {})
        if not rows and not config.get("shared"):
            output.note("None yet; `paas config:set KEY=value` sets one.")


def show_shared(shared: dict[str, dict[str, str]]) -> None:
    """The variables that come from config groups and other apps."""
    if shared:
        output.line()
        output.heading("Shared")
        output.pairs([(key, f"{entry['value']} ({entry['from']})") for key, entry in sorted(shared.items())], gap=6)


@command(
    "config:set",
    "Set environment variables, and release the app with them",
    "paas config:set GREETING=hi COLOUR='deep blue'",
    args=(Arg("var=value", "KEY=- reads from standard input; SSH_KEY may name a file", many=True, dest="pairs"),),
    options=(SECRET, APP, JSON, *WAITING),
    details="A value that is read (`paas config:set --secret TOKEN=- < file`) is in no process list or shell history.",
)
def set_config(session: Session, pairs: list[str], secret: bool | None) -> None:
    apply_values(session, given_pairs(pairs), secret)


@command(
    "config:get",
    "Print the value of one environment variable, for scripts",
    "paas config:get DATABASE_URL",
    args=(Arg("key"),),
    options=(APP, JSON),
)
def get_config(session: Session, key: str) -> None:
    config = read_config(session)
    values = {name: entry["value"] for name, entry in (config.get("shared") or {}).items()} | (config["values"] or {})
    if key not in values:
        raise CliError(f"{session.app} has no variable {key}; `paas config` lists what is set.")
    if values[key] == MASK:
        raise CliError(f"{key} is write-only: the app gets it, nobody is shown it again.")
    if not session.shown_as_json(values[key]):
        output.line(str(values[key]))


@command(
    "config:unset",
    "Remove environment variables, and release the app without them",
    "paas config:unset GREETING",
    args=(Arg("key", many=True),),
    options=(APP, JSON, *WAITING),
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
    config = read_config(session)
    hidden = config.get("secrets") or []
    values = {key: value for key, value in (config["values"] or {}).items() if key not in hidden}
    if hidden:
        output.note(f"Left out, because nobody is shown them: {', '.join(hidden)}")
    if not sys.stdout.isatty():
        for key, value in sorted(values.items()):
            output.line(f"{key}={value}")
        return
    target = Path(ENV_FILE)
    present = parse_env(read_text(target)) if target.exists() else {}
    if present and not (overwrite or interactive):
        raise UsageError(f"{ENV_FILE} exists; replace its variables with -o, or be asked for each with -i.")
    merged = present | {key: value for key, value in values.items() if key not in present or overwrite}
    for key in sorted(set(values) & set(present)) if interactive and not overwrite else []:
        if values[key] != present[key] and prompts.ask(f"{key}: {present[key]} -> {values[key]}? (y/N) ") == "y":
            merged[key] = values[key]
    write_private(target, "".join(f"{key}={value}\n" for key, value in sorted(merged.items())))


@command(
    "config:push",
    "Set the variables of a file, or of standard input",
    "paas config:push -p production.env",
    options=(
        Option("--path", f"the file; without it what is piped in, else {ENV_FILE}", short="-p", value="FILE"),
        APP,
        JSON,
        *WAITING,
    ),
    details="Lines are KEY=value; empty lines and those that begin with # are left out.",
)
def push(session: Session, path: str | None) -> None:
    piped = sys.stdin.read() if path is None and not sys.stdin.isatty() else ""
    apply_values(session, parse_env(piped if piped.strip() else read_file(path or ENV_FILE)))


def read_file(path: str) -> str:
    try:
        return read_text(Path(path))
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is no text"
        raise UsageError(f"{path} can't be read ({reason}); name the file with -p.") from exc


@command(
    "config:edit",
    "Change an app's variables in your editor, all in one release",
    "EDITOR=nano paas config:edit",
    options=(APP, *WAITING),
    details=(
        "A line that is gone unsets its variable. Values of several lines are not shown and stay as they are; a "
        f"write-only one shows as {MASK}, and stays unless you write another."
    ),
)
def edit(session: Session) -> None:
    config = read_config(session)
    before = {key: value for key, value in (config["values"] or {}).items() if "\n" not in value}
    text = edit_text("".join(f"{key}={value}\n" for key, value in sorted(before.items())))
    try:
        after = parse_env(text)
    except UsageError as exc:
        raise UsageError(f"{exc} Nothing was changed; your text is kept in {keep(text)}") from None
    changes = plan_changes(before, after)
    if not changes:
        output.line("Nothing changed.")
        return
    show_difference(before, changes, config.get("secrets") or [])
    with output.progress("Changing config..."):
        post_values(session, changes)
    output.line()
    list_config(session)


def plan_changes(before: dict[str, str], after: dict[str, str]) -> dict[str, str | None]:
    """What makes `before` into `after`; None unsets."""
    gone = {key: None for key in before if key not in after}
    return gone | {key: value for key, value in after.items() if before.get(key) != value}


def show_difference(before: dict[str, str], changes: dict[str, str | None], hidden: list[str]) -> None:
    for key, value in sorted(changes.items()):
        if key in before:
            output.line(output.paint(f"-{key}={before[key]}", "red"))
        if value is not None:
            output.line(output.paint(f"+{key}={MASK if key in hidden else value}", "green"))


def keep(text: str) -> str:
    """The path of a file with `text` that nobody else can read."""
    import tempfile

    descriptor, name = tempfile.mkstemp(prefix="paas-config-", suffix=".env")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return name


def edit_text(text: str) -> str:
    """`text` as the user's editor leaves it, in a file nobody else can read."""
    import subprocess
    import tempfile

    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if sys.platform == "win32" else "vi")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.env"
        write_private(file, text)
        try:
            code = subprocess.call([*editor_words(editor), str(file)])
        except OSError as exc:
            raise CliError(f"The editor '{editor}' can't be started ({exc.strerror}); name one in EDITOR.") from exc
        if code:
            raise CliError(f"The editor ended with code {code}: nothing was changed.")
        return read_text(file)


def apply_values(session: Session, values: dict[str, str], secret: bool | None = None) -> None:
    if not values:
        raise UsageError("There is no variable to set; write them as KEY=value.")
    if any(key.startswith("HEALTHCHECK_") for key in values):
        output.note("HEALTHCHECK_ variables are old; use `paas healthchecks:set` instead.")
    with output.progress("Creating config...", quiet=session.json) as step:
        answer = post_values(session, values, **secret_names(values, secret))
        release = (answer.get("values") or {}).get("WORKFLOW_RELEASE")
        step.result = f"done, {release}" if release else "done"
    if not session.json:
        output.line()
    list_config(session)


def read_config(session: Session) -> dict[str, Any]:
    config: dict[str, Any] = session.api.get(session.app_path("config", ""))
    return config


def post_values(session: Session, values: Mapping[str, str | None], **more: Any) -> dict[str, Any]:
    config: dict[str, Any] = session.deploy(session.app_path("config", ""), {"values": values, **more})
    return config


from cli.commands import config_shared  # noqa: E402, F401 - more commands of this topic
