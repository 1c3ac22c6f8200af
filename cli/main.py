"""From a command line to an exit code: find the command, read its arguments, run it, say what went wrong."""

from __future__ import annotations

import os
import sys

from cli import VERSION, output
from cli.errors import CliError, UsageError
from cli.parsing import parse
from cli.session import Session
from cli.table import BARE, COMMANDS, NOUNS, SHORTCUTS, Command, find, load, nearest

INTERRUPTED = 130
GLOBAL_WITH_VALUE = ("-a", "--app", "-c", "--config")


def main(argv: list[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    output.tolerate_any_text()
    try:
        return dispatch(words)
    except CliError as exc:
        output.error(str(exc))
        return exc.exit_code
    except KeyboardInterrupt:
        output.note("\nInterrupted.")
        return INTERRUPTED
    except (KeyError, TypeError, IndexError, AttributeError) as exc:
        if os.environ.get("PAAS_DEBUG"):
            raise
        output.error(f"An answer was not what this command expects ({exc!r}); PAAS_DEBUG=1 shows where.")
        return 1
    except BrokenPipeError:
        # The reader (head, less) went away: nothing more to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def dispatch(words: list[str]) -> int:
    """Run the command that `words` name.

    Raises: CliError for everything the user should read.
    """
    leading, words = split_leading_options(words)
    if not words or words[0] in ("help", "--help", "-h"):
        return show_help(words[1:])
    if words[0] == "--version":
        output.line(VERSION)
        return 0
    if is_bare_topic(words):
        return show_help(words[:1])
    entry, rest = resolve(words)
    if entry is None:
        return run_plugin(words)
    values = parse(entry, leading + rest)
    if values.pop("help"):
        from cli.help import render_command, render_topic

        output.line(render_command(entry))
        if words[0] == entry.noun and words[1:2] != [entry.verb]:
            output.line(f"\n{render_topic(entry.noun)}")
        return 0
    session = Session(values)
    for shared in ("config", "app", "json", "wait", "no_wait"):
        values.pop(shared, None)
    code = entry.handler(session, **values) or 0
    if session.left_to_itself:
        output.note("It goes live by itself now; `paas releases:output -f` tells how.")
    return code


def split_leading_options(words: list[str]) -> tuple[list[str], list[str]]:
    """Options written before the command (`paas -a hello ps`), and the words from the command on."""
    position = 0
    while position < len(words) and words[position].startswith("-"):
        name = words[position].partition("=")[0]
        if name not in GLOBAL_WITH_VALUE:
            break
        position += 1 if "=" in words[position] else 2
    return words[:position], words[position:]


def is_bare_topic(words: list[str]) -> bool:
    """Whether the words are a topic that has nothing to list, such as `paas auth`."""
    topic, rest = words[0], words[1:]
    return rest in ([], ["--help"], ["-h"]) and load(topic) and topic not in BARE and topic not in SHORTCUTS


def resolve(words: list[str]) -> tuple[Command | None, list[str]]:
    """The command and its own words; None when the first word is no topic of ours.

    Raises: UsageError with the nearest names for an unknown verb of a known topic.
    """
    first, rest = words[0], words[1:]
    spaced = f"{first}:{rest[0]}" if rest else ""
    if spaced in SHORTCUTS and first != "run":  # `paas run list` runs the program `list`
        return find(spaced), rest[1:]
    if ":" not in first and load(first):
        if len(rest) > 1 and f"{spaced}:{rest[1]}" in COMMANDS:
            return find(f"{spaced}:{rest[1]}"), rest[2:]
        if spaced in COMMANDS:
            return find(spaced), rest[1:]
        bare = COMMANDS.get(BARE.get(first) or SHORTCUTS.get(first, ""))
        if bare is None:
            raise UsageError(unknown_text(" ".join(words[:2])))
        if rest and not rest[0].startswith("-") and not bare.args:
            raise UsageError(unknown_text(spaced))
        return bare, rest
    if entry := find(first):
        return (COMMANDS[spaced], rest[1:]) if spaced in COMMANDS else (entry, rest)
    if first.partition(":")[0] in NOUNS:
        raise UsageError(unknown_text(first))
    return None, rest


def unknown_text(name: str) -> str:
    if close := nearest(name):
        return f"Found no command '{name}'; did you mean `paas {close[0]}`?"
    topic = name.replace(" ", ":").partition(":")[0]
    where = f"paas help {topic}" if topic in NOUNS else "paas help"
    return f"Found no command '{name}'; `{where}` lists the commands."


def run_plugin(words: list[str]) -> int:
    """`paas foo:bar x` runs `paas-foo bar x` from PATH, with the code it exits with."""
    import shutil
    import subprocess

    topic, _, verb = words[0].partition(":")
    program = shutil.which(f"paas-{topic}") if topic.replace("-", "").replace("_", "").isalnum() else None
    if program is None:
        raise UsageError(unknown_text(words[0]))
    return subprocess.call([program, *([verb] if verb else []), *words[1:]])


def show_help(words: list[str]) -> int:
    from cli import help as texts

    name = ":".join(words[:2])
    if not name:
        output.line(texts.render_overview())
    elif name == "exit-codes":
        output.line(texts.render_exit_codes())
    elif name in NOUNS:
        output.line(texts.render_topic(name))
    elif entry := find(name):
        output.line(texts.render_command(entry))
    else:
        raise UsageError(unknown_text(name))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
