"""Questions to the person at the keyboard; a script that can't answer gets told which option to give."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cli.errors import UsageError


def ask(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        print()  # what follows is not on the question's line
        raise unanswered(question) from None


def ask_secret(question: str) -> str:
    from getpass import getpass

    if not sys.stdin.isatty():
        return ask(question)
    try:
        return getpass(question)
    except EOFError:
        print()
        raise unanswered(question) from None


def choose(title: str, choices: Sequence[str]) -> int:
    """The index of the picked choice."""
    print(title)
    for number, choice in enumerate(choices, 1):
        print(f"{number}) {choice}")
    answer = ask("which one? ")
    if not answer.isdigit() or not 1 <= int(answer) <= len(choices):
        raise UsageError(f"'{answer}' is none of 1 to {len(choices)}.")
    return int(answer) - 1


def unanswered(question: str) -> UsageError:
    return UsageError(f"No answer to '{question.strip(' :')}' on standard input; give it as an option (see --help).")
