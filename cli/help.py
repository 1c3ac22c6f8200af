"""Help texts, drawn from the command table."""

from __future__ import annotations

from cli.errors import EXIT_CODES
from cli.output import paint
from cli.table import NOUNS, SHORTCUTS, Command, commands_of

WIDEST = 100  # characters of a line of prose
OVERVIEW = """\
paas: push code to your own machines, see it run.

Usage: paas <command> [arguments] [options]

First steps
  paas login http://paas.example.com    log in to a platform
  paas keys:add                         tell it your SSH key
  paas create hello                     make an app, and the git remote `deis` here
  git push deis master                  build it, release it, run it

Every day
  paas logs -f                          what the app says, live
  paas ps                               its processes
  paas scale web=3                      more of them
  paas config:set KEY=value             settings, as environment variables
  paas releases                         its history
  paas rollback v2                      back to an earlier release
  paas run -- python -V                 a one-off command
"""

MORE = """
`paas help <topic>` shows a topic's commands, `paas <command> --help` one command with an example.
`paas help exit-codes` explains exit codes; `paas completion bash` prints completion for your shell.
The app is -a APP, or the one this folder's git remote points at.
"""


def render_overview() -> str:
    width = max(len(noun) for noun in NOUNS) + 2
    topics = "\n".join(f"  {noun:<{width}}{about}" for noun, about in NOUNS.items())
    return f"{OVERVIEW}\nTopics\n{topics}\n{MORE}".rstrip()


def render_topic(noun: str) -> str:
    entries = list(commands_of(noun))
    width = max(len(entry.name) for entry in entries) + 2
    rows = "\n".join(f"  {entry.name:<{width}}{entry.summary}" for entry in entries)
    return f"{noun}: {NOUNS[noun]}\n\n{rows}\n\n`paas {entries[0].name} --help` shows one command with an example."


def render_command(entry: Command) -> str:
    parts = [entry.summary, "", f"Usage: {entry.usage}"]
    shortcuts = [name for name, full in SHORTCUTS.items() if full == entry.name]
    if shortcuts:
        parts.append(f"Short: {', '.join(f'paas {name}' for name in shortcuts)}")
    parts += ["", "Example", f"  {paint(entry.example, 'cyan')}"]
    if entry.details:
        parts += ["", *_wrapped(entry.details.strip())]
    rows = [(arg.usage, arg.help) for arg in entry.args if arg.help]
    if rows:
        parts += ["", "Arguments", *_columns(rows)]
    parts += ["", "Options", *_columns([(option.usage, _with_default(option)) for option in entry.all_options])]
    return "\n".join(parts)


def _wrapped(text: str) -> list[str]:
    """Lines that end between words before the terminal's edge, and after 100 characters at the latest."""
    import shutil
    import textwrap

    width = max(40, min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns))
    lines = (textwrap.wrap(line, width, break_on_hyphens=False) or [""] for line in text.splitlines())
    return [piece for pieces in lines for piece in pieces]


def _with_default(option: object) -> str:
    default = getattr(option, "default", None)
    text = getattr(option, "help", "")
    return text if default in (None, "", True) else f"{text} (default: {default})"


def _columns(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(left) for left, _ in rows) + 2
    return [f"  {left:<{width}}{right}".rstrip() for left, right in rows]


def render_exit_codes() -> str:
    rows = [f"  {code:<5}{meaning}" for code, meaning in EXIT_CODES.items()]
    return "\n".join(["Exit codes", *rows, "", "`paas run` exits with the code of the command it ran."])
