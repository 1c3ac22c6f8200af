"""What commands would do on a simulated node."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple


class Act(NamedTuple):
    """What a command prints, and how it ends; `exit_code` None: it goes on until stopped."""

    output: bytes
    exit_code: int | None
    after: float = 0.0
    known: bool = True  # whether this is what the command would do, or only a guess


SHELLS = ("sh", "/bin/sh", "bash", "/bin/bash")
STAYING = ("while", "until", "tail", "top")  # go on by their nature
STACK_INIT = "/runner/init"  # of the platform's stack image: `start TYPE`, or a command line
LONGEST_SLEEP = 5.0  # a `sleep` up to this ends in its time; a longer one is a process that stays


def pretend(command: tuple[str, ...], environment: Mapping[str, str], *, one_off: bool = False) -> Act:
    """`one_off`: a program that nothing is known of has done its work, instead of serving on."""
    act = pretend_command(list(command), environment)
    return act._replace(exit_code=0) if one_off and not act.known else act


def pretend_command(words: list[str], environment: Mapping[str, str]) -> Act:
    if len(words) >= 2 and words[0] in SHELLS and words[1] in ("-c", "-ec", "-lc"):
        script = words[2] if len(words) > 2 else ""
        return pretend_script(script, environment)
    if words[:1] == [STACK_INIT] and words[1:2] != ["start"]:
        return pretend_script(" ".join(words[1:]), environment)
    return pretend_words(words, environment)


def pretend_script(script: str, environment: Mapping[str, str]) -> Act:
    output, after = b"", 0.0
    for part in script.replace("&&", ";").split(";"):
        try:
            words = shlex.split(part)
        except ValueError:
            words = part.split()
        if words[:1] == ["exit"]:
            return Act(output, int(words[1]) if len(words) > 1 and words[1].isdigit() else 0, after)
        act = pretend_words(words, environment)
        output, after = output + act.output, after + act.after
        if act.exit_code is None or act.exit_code:
            return Act(output, act.exit_code, after, act.known)
    return Act(output, 0, after)


def pretend_words(words: list[str], environment: Mapping[str, str]) -> Act:
    name = words[0].rpartition("/")[2] if words else ""
    if name == "echo":
        return Act(" ".join(expanded(word, environment) for word in words[1:]).encode() + b"\n", 0)
    if name in ("true", ":"):
        return Act(b"", 0)
    if name == "false":
        return Act(b"", 1)
    if name in ("env", "printenv"):
        return Act("".join(f"{key}={value}\n" for key, value in environment.items()).encode(), 0)
    if name == "hostname":
        return Act(f"{environment.get('HOSTNAME', 'simulated')}\n".encode(), 0)
    if name == "sleep" and len(words) > 1:
        try:
            seconds = float(words[1])
        except ValueError:
            return Act(b"", None)
        return Act(b"", 0, seconds) if seconds <= LONGEST_SLEEP else Act(b"", None)
    if not words:
        return Act(b"", None)
    return Act(f"simulated: {shlex.join(words)}\n".encode(), None, known=name in STAYING)


def expanded(word: str, environment: Mapping[str, str]) -> str:
    return environment.get(word[1:], "") if word.startswith("$") else word


class MemoryProcess:
    """The streams of a pretended command: what it prints, then with a terminal or input an echo of what is typed."""

    def __init__(self, act: Act, *, echo: bool) -> None:
        self._act, self._echo = act, echo
        self._typed: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        if self._act.output:
            yield 1, self._act.output
        while self._echo and self._act.exit_code is None and (data := await self._typed.get()) is not None:
            if data.strip() in (b"exit", b"\x04"):
                return
            yield 1, data

    async def write(self, data: bytes) -> None:
        self._typed.put_nowait(data)

    async def close_stdin(self) -> None:
        self._typed.put_nowait(None)

    async def resize(self, width: int, height: int) -> None:
        """There is no terminal to resize."""

    async def exit_code(self) -> int:
        return self._act.exit_code or 0

    async def close(self) -> None:
        self._typed.put_nowait(None)
