"""From words to values: one command's arguments, read by its record in the table."""

from __future__ import annotations

from typing import Any

from cli.errors import UsageError
from cli.table import Command, Option


def parse(entry: Command, words: list[str]) -> dict[str, Any]:
    """Values by name for `entry`, options and arguments in any order.

    Raises: UsageError naming the word that can't be understood.
    """
    values: dict[str, Any] = {option.key: option.default for option in entry.all_options}
    takes_rest = bool(entry.args) and entry.args[-1].rest
    plain: list[str | None] = []
    given: dict[str, Any] = {}
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            plain.extend([None] * (optional_before_rest(entry) - len(plain)))
            plain.extend(words[position:])
            break
        if not word.startswith("-") or word == "-":
            plain.append(word)
            if takes_rest and len(plain) >= len(entry.args):
                plain += words[position:]
                break
            continue
        option, value = _match(entry, word)
        if option.value and value is None:
            if position >= len(words):
                raise UsageError(f"{option.name} needs a value: {option.usage}; see `paas {entry.name} --help`.")
            value = words[position]
            position += 1
        typed = _typed(option, value)
        if option.value and given.setdefault(option.key, typed) != typed:
            raise UsageError(f"{option.name} is there twice, as '{given[option.key]}' and '{typed}'; give it once.")
        values[option.key] = typed
    if values["help"]:
        return values
    return values | _positional(entry, plain)


def optional_before_rest(entry: Command) -> int:
    """How many arguments may stand before the words that reach a command; after `--`, all words are of those."""
    before = entry.args[:-1]
    return len(before) if entry.args and entry.args[-1].rest and not any(arg.required for arg in before) else 0


def _match(entry: Command, word: str) -> tuple[Option, str | None]:
    """The option that `word` names, and the value written in the same word."""
    name, equals, value = word.partition("=")
    for option in entry.all_options:
        if name == option.name:
            if equals and not option.value and value not in ("true", "false"):
                raise UsageError(f"{option.name} takes no value; see `paas {entry.name} --help`.")
            return option, value if equals else None
        if option.short and not word.startswith("--") and word.startswith(option.short):
            glued = word[2:].removeprefix("=")
            if option.value:
                return option, glued or None
            if not glued:
                return option, None
    raise UsageError(f"{entry.name} has no option {name}; see `paas {entry.name} --help`.")


def _typed(option: Option, value: str | None) -> Any:
    if not option.value:
        return value != "false"
    if option.number:
        if not (value or "").isdigit():
            raise UsageError(f"{option.name} takes a whole number, not '{value}'.")
        return int(value or 0)
    return value


def _positional(entry: Command, plain: list[str | None]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    left = list(plain)
    for arg in entry.args:
        if arg.many or arg.rest:
            values[arg.key], left = left, []
        else:
            values[arg.key] = left.pop(0) if left else None
        if arg.required and not values[arg.key]:
            raise UsageError(f"{entry.name} needs {arg.usage}, for example: {entry.example}")
    if left:
        raise UsageError(f"{entry.name} has no use for '{left[0]}'; see `paas {entry.name} --help`.")
    return values
