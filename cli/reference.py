"""`python -m cli.reference` writes docs/cli.md, drawn from the command table."""

from __future__ import annotations

from cli.errors import EXIT_CODES
from cli.table import HELP, NOUNS, PROFILE, SHORTCUTS, Command, commands_of

INTRO = """\
# The paas command line

Written from the command table by `python -m cli.reference`; change the table, not this page.

A command is `topic:verb`, also written `topic verb`; many have a shortcut. A topic alone lists, or shows.
The app is `-a APP`, or the one that this folder's git remote points at, or the folder's name.
Every command takes `-c PROFILE` and `--help`.
A profile is a file in `~/.deis`; `PAAS_PROFILE` or `DEIS_PROFILE` names another.
`NO_COLOR` turns colours off; `PAAS_DEBUG=1` shows where a command broke.
An unknown topic `foo` runs `paas-foo` from `PATH`.
"""


def render() -> str:
    parts = [INTRO, "## Shortcuts\n\n| short | command |\n| --- | --- |"]
    parts += [f"| `{name}` | `{full}` |" for name, full in sorted(SHORTCUTS.items())]
    parts += ["\n## Exit codes\n\n| code | meaning |\n| --- | --- |"]
    parts += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    parts += ["\n`paas run` exits with the code of the command it ran."]
    for noun, about in NOUNS.items():
        parts.append(f"\n## {noun}: {about}")
        parts += [render_command(entry) for entry in commands_of(noun)]
    return "\n".join(parts)


def render_command(entry: Command) -> str:
    lines = [f"\n### {entry.name}\n", f"{entry.summary}.", "", "    " + entry.example, ""]
    lines.append(f"`{entry.usage}`")
    if entry.details:
        lines += ["", entry.details.replace("\n", "  \n")]
    rows = [(f"`{arg.usage}`", arg.help) for arg in entry.args if arg.help]
    rows += [(f"`{option.usage}`", option.help) for option in entry.options if option not in (PROFILE, HELP)]
    if rows:
        lines += [
            "",
            "| | |",
            "| --- | --- |",
            *(f"| {left.replace('|', chr(92) + '|')} | {right} |" for left, right in rows),
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(render())
