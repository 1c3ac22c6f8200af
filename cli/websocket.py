"""The client's end of a WebSocket (RFC 6455), as far as the controller's tunnels need it: binary messages, pings.

One thread reads and writes; others hand it work through `wake`, because a TLS connection must not be used by two.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha1

from cli.errors import CliError, Unreachable

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
LONGEST_HEAD = 64 * 1024  # bytes
LONGEST_MESSAGE = 64 * 1024 * 1024  # bytes
CHUNK = 64 * 1024
SEND_PATIENCE = 60.0  # seconds for the other side to take what we send


class WebSocket:
    def __init__(self, connection: socket.socket, rest: bytes, protocol: str) -> None:
        self.protocol = protocol
        self._socket, self._buffer = connection, bytearray(rest)
        self._message = bytearray()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._ended = False
        self.closed = False

    def wake(self) -> None:
        """Makes `wait` return; from any thread or signal handler."""
        try:
            self._wake_writer.send(b"\0")
        except OSError:
            return  # closed, or already woken more often than it was looked at

    def wait(self, seconds: float) -> None:
        """Returns when something arrived, `wake` was called, or after `seconds`."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return
        select.select([self._socket, self._wake_reader], [], [], seconds)
        try:
            while self._wake_reader.recv(4096):
                continue
        except OSError:
            return

    def receive(self) -> Iterator[bytes]:
        """The messages that have arrived, without waiting for more; sets `closed` when there will be none."""
        self._read()
        while (frame := self._frame()) is not None:
            final, opcode, data = frame
            if opcode == PING:
                self._send_frame(PONG, data)
            elif opcode == CLOSE:
                self.closed = True
                return
            elif opcode in (TEXT, BINARY, CONTINUATION):
                self._message += data
                if final:
                    message, self._message = bytes(self._message), bytearray()
                    yield message
        self.closed = self._ended

    def send(self, data: bytes) -> None:
        self._send_frame(BINARY, data)

    def ping(self) -> None:
        self._send_frame(PING, b"")

    def close(self) -> None:
        try:
            self._send_frame(CLOSE, struct.pack("!H", 1000))
        except CliError:
            self.closed = True
        self._socket.close()
        self._wake_writer.close()
        self._wake_reader.close()

    def _read(self) -> None:
        self._socket.settimeout(0)
        try:
            while data := self._socket.recv(CHUNK):
                self._buffer += data
                if len(self._buffer) > LONGEST_MESSAGE:
                    raise CliError("The controller sent a message that is too long; this client gives up.")
            self._ended = True
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as exc:
            raise Unreachable(f"The connection broke ({exc}); what ran on the other side is being stopped.") from exc

    def _frame_size(self) -> tuple[int, int] | None:
        """Header and payload sizes of the first frame in the buffer, once it is whole."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, header = buffer[1] & 0x7F, 2
        if size == 126:
            header = 4
            size = struct.unpack_from("!H", buffer, 2)[0] if len(buffer) >= 4 else LONGEST_MESSAGE
        elif size == 127:
            header = 10
            size = struct.unpack_from("!Q", buffer, 2)[0] if len(buffer) >= 10 else LONGEST_MESSAGE
        return (header, size) if len(buffer) >= header + size else None

    def _frame(self) -> tuple[bool, int, bytes] | None:
        sizes = self._frame_size()
        if sizes is None:
            return None
        header, size = sizes
        first, data = self._buffer[0], bytes(self._buffer[header : header + size])
        del self._buffer[: header + size]
        return bool(first & 0x80), first & 0x0F, data

    def _send_frame(self, opcode: int, data: bytes) -> None:
        mask = os.urandom(4)
        if len(data) < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | len(data))
        elif len(data) < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(data))
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, len(data))
        try:
            self._socket.settimeout(SEND_PATIENCE)
            self._socket.sendall(head + mask + masked(data, mask))
        except OSError as exc:
            raise Unreachable(f"The connection broke ({exc}); what ran on the other side is being stopped.") from exc


def masked(data: bytes, mask: bytes) -> bytes:
    """`data` with the client's mask on it, as one large number: quick without a loop over the bytes."""
    if not data:
        return b""
    repeated = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(data), "big")


def handshake(
    connection: socket.socket, target: str, headers: dict[str, str], protocols: tuple[str, ...]
) -> tuple[int, dict[str, str], bytes, str]:
    """Asks for the upgrade: (status, headers of the answer, bytes after them, our key)."""
    key = b64encode(os.urandom(16)).decode()
    asked = headers | {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": ", ".join(protocols),
    }
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in asked.items())]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    raw = b""
    while b"\r\n\r\n" not in raw:
        data = connection.recv(CHUNK)
        if not data or len(raw) > LONGEST_HEAD:
            raise OSError("no answer to the upgrade")
        raw += data
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *others = head.decode("latin-1").split("\r\n")
    answered = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in others)}
    return int(first.split()[1]), answered, rest, key


def accepts(answered: dict[str, str], key: str) -> bool:
    """Whether the answer is to our own handshake."""
    wanted = b64encode(sha1(key.encode() + MAGIC, usedforsecurity=False).digest()).decode()
    return answered.get("sec-websocket-accept") == wanted


def rest_of_body(connection: socket.socket, answered: dict[str, str], begun: bytes) -> bytes:
    """A refusal's body: as long as it says, or until the end; at most about `LONGEST_HEAD` bytes."""
    chunked = answered.get("transfer-encoding", "").lower() == "chunked"
    length = int(answered.get("content-length") or LONGEST_HEAD)
    while len(begun) < length and not (chunked and begun.endswith(b"0\r\n\r\n")):
        data = connection.recv(CHUNK)
        if not data:
            break
        begun += data
    return unchunked(begun) if chunked else begun


def unchunked(raw: bytes) -> bytes:
    """What a chunked body carries. Raises: ValueError for a size that is none."""
    body = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if length == 0:
            break
        body, raw = body + raw[:length], raw[length + 2 :]
    return body
