"""Variables as people write them: `KEY=value` words, `KEY=-` for standard input, files of such lines."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from cli import prompts
from cli.errors import UsageError
from cli.system import read_text
from cli.table import Option

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MASK = "********"  # what the controller shows of a write-only variable, and takes back as "unchanged"
SECRET = Option("--secret", "write-only: the app gets them, nobody is shown them again")


def given_pairs(words: Iterable[str]) -> dict[str, str]:
    """The variables in `words`; a value of `-` is read from standard input, so that no process list shows it."""
    pairs = dict(parse_pair(word) for word in words)
    from_input = [key for key, value in pairs.items() if value == "-"]
    if len(from_input) > 1:
        raise UsageError(f"Only one variable can come from standard input, not {' and '.join(from_input)}.")
    for key in from_input:
        piped = not sys.stdin.isatty()
        pairs[key] = sys.stdin.read().removesuffix("\n") if piped else prompts.ask_secret(f"{key}: ")
    return pairs


def secret_names(values: dict[str, str], secret: bool | None) -> dict[str, list[str]]:
    """What a request says besides the values when they are write-only."""
    return {"secrets": sorted(values)} if secret else {}


def parse_env(text: str) -> dict[str, str]:
    """The variables of a file's text. Raises: UsageError naming the line."""
    values = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            key, value = parse_pair(line)
        except UsageError as exc:
            raise UsageError(f"Line {number}: {exc}") from None
        values[key] = value
    return values


def parse_pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not KEY.fullmatch(key):
        raise UsageError(f"'{text}' is no variable; write KEY=value, the key of letters, digits and _.")
    return key, encode_ssh_key(value) if key == "SSH_KEY" else value


def encode_ssh_key(value: str) -> str:
    """A private key's text or file, as the builder wants it: base64 on one line."""
    from base64 import b64encode

    if "PRIVATE KEY" in text_behind(value):
        return value
    if "PRIVATE KEY" not in value and is_file(value):
        value = read_text(Path(value).expanduser())
    if "PRIVATE KEY" not in value:
        raise UsageError("SSH_KEY takes a private key, its text or the path of its file; this is neither.")
    return b64encode(value.encode()).decode()


def is_file(value: str) -> bool:
    try:
        return Path(value).expanduser().is_file()
    except (OSError, RuntimeError):  # a text too long for a name, or the home of nobody
        return False


def text_behind(value: str) -> str:
    """What `value` stands for if it is base64 of a text, as Deis' manual has people write it; else nothing."""
    from base64 import b64decode

    try:
        return b64decode(value, validate=True).decode()
    except ValueError:
        return ""
