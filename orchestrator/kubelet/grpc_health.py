"""The health check of gRPC (grpc.health.v1.Health/Check) in the few HTTP/2 frames it needs.

Only DATA frames of the answer are read, so header compression never has to be undone.
"""

from __future__ import annotations

import asyncio

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal_header(name: str, value: str) -> bytes:
    """A header without indexing and without Huffman coding (RFC 7541, 6.2.2); both parts under 127 bytes."""
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def health_request(authority: str, service: str) -> bytes:
    headers = b"".join(
        literal_header(name, value)
        for name, value in (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        )
    )
    name = service.encode()[:120]
    message = b"\x0a" + bytes([len(name)]) + name if name else b""
    body = b"\x00" + len(message).to_bytes(4, "big") + message
    return PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS, 1, headers) + frame(DATA, END_STREAM, 1, body)


async def serving_status(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, service: str
) -> str:
    """SERVING, NOT_SERVING, SERVICE_UNKNOWN or UNKNOWN."""
    writer.write(health_request(authority, service))
    body = b""
    while len(body) < 5 or len(body) < 5 + int.from_bytes(body[1:5], "big"):
        try:
            head = await reader.readexactly(9)
            payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        except asyncio.IncompleteReadError:
            return "UNKNOWN"
        kind, flags = head[3], head[4]
        if kind == DATA:
            body += payload
            if flags & END_STREAM and len(body) < 5:
                return "UNKNOWN"
        elif kind == HEADERS and flags & END_STREAM:
            return "SERVICE_UNKNOWN" if service else "UNKNOWN"  # trailers alone: an error status
        elif kind in (RST_STREAM, GOAWAY):
            return "UNKNOWN"
        elif kind == SETTINGS and not flags & ACK:
            writer.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            writer.write(frame(PING, ACK, 0, payload))
    message = body[5:]
    code = message[1] if len(message) >= 2 and message[0] == 0x08 else 0
    return STATUSES[code] if code < len(STATUSES) else "UNKNOWN"
