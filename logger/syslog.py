"""Lines as RFC 5424 messages, framed by their length (RFC 6587, RFC 5425)."""

from __future__ import annotations

from logger.lines import STAMP, kind_of, process_of, source_of, text_of

LOCAL0 = 16  # facility
ERROR, WARNING, INFO = 3, 4, 6
SEVERITIES = {b"ERROR ": ERROR, b"WARN ": WARNING}
LONGEST_DATAGRAM = 8 * 1024  # bytes; what many receivers take of a UDP message


def message(app: str, line: bytes) -> bytes:
    """`<134>1 2026-01-31T10:00:00.123456Z shop app web.v3.x7k2p - - text`."""
    source, text = source_of(line), text_of(line)
    kind = kind_of(source)
    severity = INFO
    if kind != "app":
        severity = next((level for word, level in SEVERITIES.items() if text.startswith(word)), INFO)
    process = ".".join(part for part in process_of(source) if part) if kind == "app" else kind
    head = f"<{LOCAL0 * 8 + severity}>1 {line[: STAMP - 4].decode()}Z {app} {kind} {process[:128] or '-'} - - "
    return head.encode() + text


def framed(content: bytes) -> bytes:
    return b"%d %s" % (len(content), content)
