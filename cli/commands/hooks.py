"""Hooks: commands that run in a process as it starts, and before it is stopped."""

from __future__ import annotations

import shlex

from cli import output
from cli.errors import UsageError
from cli.session import Session
from cli.table import APP, JSON, WAITING, Arg, Option, command

HOOKS = {"post-start": "lifecycle_post_start", "pre-stop": "lifecycle_pre_stop"}
DEFAULT_TYPE = "web"
HOOK = Arg("hook", "post-start (beside the process, as it starts) or pre-stop (before it is told to stop)")
TYPE = Option("--type", "a process type", value="TYPE", default=DEFAULT_TYPE)


@command(
    "hooks:list",
    "List the commands that run as processes start and stop",
    "paas hooks",
    options=(APP, JSON),
    bare=True,
)
def list_hooks(session: Session) -> None:
    config = session.api.get(session.app_path("config", ""))
    hooks: dict[str, dict[str, str]] = {}
    for name, section in HOOKS.items():
        for kind, line in (config.get(section) or {}).items():
            hooks.setdefault(kind, {})[name] = line
    if session.shown_as_json(hooks):
        return
    output.heading(f"{session.app} Hooks")
    if not hooks:
        output.line("No hooks configured.")
    for kind, lines in sorted(hooks.items()):
        output.line()
        output.line(f"--- {kind}:")
        for name in HOOKS:
            if name in lines:
                output.line(f"{name:10}  {lines[name]}")


@command(
    "hooks:set",
    "Run a command in each process of a type as it starts, or before it is stopped",
    "paas hooks:set pre-stop --type=worker -- bin/finish --within=20",
    args=(HOOK, Arg("command", "what bash runs in the process' container", many=True)),
    options=(TYPE, APP, JSON, *WAITING),
    details=(
        "A process whose post-start command fails is started again. What pre-stop takes counts as time to stop "
        "(`paas timeouts`). A pre-stop command of web takes the place of the pause in which traffic goes elsewhere."
    ),
)
def set_hook(session: Session, hook: str, command: list[str], type: str) -> None:
    section = section_of(hook)
    line = command[0] if len(command) == 1 else shlex.join(command)
    with output.progress(f"Setting the {hook} hook of {type}...", quiet=session.json):
        session.deploy(session.app_path("config", ""), {section: {type: line}})
    if not session.json:
        output.line()
    list_hooks(session)


@command(
    "hooks:unset",
    "Remove hooks",
    "paas hooks:unset pre-stop --type=worker",
    args=(Arg("hook", "post-start, pre-stop, or both", many=True),),
    options=(TYPE, APP, JSON, *WAITING),
)
def unset_hook(session: Session, hook: list[str], type: str) -> None:
    body = {section_of(name): {type: None} for name in hook}
    with output.progress(f"Removing hooks of {type}...", quiet=session.json):
        session.deploy(session.app_path("config", ""), body)
    if not session.json:
        output.line()
    list_hooks(session)


def section_of(hook: str) -> str:
    """Raises: UsageError."""
    if hook not in HOOKS:
        raise UsageError(f"'{hook}' is no hook; it is post-start or pre-stop.")
    return HOOKS[hook]
