"""git's pkt-lines, as far as it takes to tell a client in words that its push is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence

LARGEST_COMMANDS = 1 << 20  # bytes of a request that are looked at to answer a refusal ref by ref
COMMAND = re.compile(rb"[0-9a-f]{40,64} [0-9a-f]{40,64} ([^\x00\n]{1,1000})")
LONGEST = 900  # bytes of a line that is told
MESSAGE = b"\x02"  # the band of what the client shows
OWN = (b"fatal: ", b"error: ")  # how git's own messages begin
Rule = tuple[bytes, str]  # words of git's, what is said in their place


def packet(payload: bytes) -> bytes:
    return f"{len(payload) + 4:04x}".encode() + payload


def error_packet(text: str) -> bytes:
    """git's own way to say why there is no service: a pkt-line that clients show as `remote error`."""
    return packet(f"ERR {text}\n".encode())


def error_line(text: str) -> bytes:
    return b" !     " + text.encode()[:LONGEST] + b"\n"


def refusal(sent: bytes, text: str) -> bytes:
    """The answer to a client that is sending a push, of which `sent` has come: a report like that of a hook's refusal.

    A client whose commands haven't come reads it in place of the list of refs.
    """
    refs = COMMAND.findall(sent.partition(b"PACK")[0])
    if not refs:
        return error_packet(text)
    report = packet(b"unpack ok\n") + b"".join(packet(b"ng " + ref + b" refused\n") for ref in refs[:100]) + b"0000"
    if b"side-band-64k" not in sent[:4096]:
        return report
    banded = b"".join(packet(b"\x01" + report[i : i + 60_000]) for i in range(0, len(report), 60_000))
    return packet(MESSAGE + error_line(text)) + banded + b"0000"


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """The whole pkt-lines that `data` begins with, and the rest. Raises: ValueError when it is something else."""
    found, at = [], 0
    while len(data) - at >= 4:
        size = max(int(data[at : at + 4], 16), 4)
        if len(data) - at < size:
            break
        found.append(data[at : at + size])
        at += size
    return found, data[at:]


async def reworded(chunks: AsyncIterator[bytes], rules: Sequence[Rule]) -> AsyncIterator[bytes]:
    """The output of `git receive-pack`, with our sentence where git's message has the words of a rule."""
    rest = b""
    async for chunk in chunks:
        try:
            whole, rest = split(rest + chunk)
        except ValueError:  # no pkt-lines: it goes through as it is
            whole, rest, rules = [rest + chunk], b"", ()
        told = b"".join(reword(one, rules) for one in whole)
        if told:
            yield told
    if rest:
        yield rest


def reword(line: bytes, rules: Sequence[Rule]) -> bytes:
    if line[4:5] == MESSAGE and line[5:].startswith(OWN):  # a build's output may hold the same words
        for words, text in rules:
            if words in line:
                return packet(MESSAGE + error_line(text))
    return line
