"""The platform's other programs as this one reaches them: `/path` of a unix socket on one host, `tcp://host:port` else.

A unix socket is open to whoever may open its file; over TCP the key that opens the hooks says who asks.
"""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

TCP = "tcp://"


def tcp_address(place: str) -> tuple[str, int] | None:
    """(host, port) of `tcp://host:port`; None for a path. Raises: ValueError."""
    if not place.startswith(TCP):
        return None
    parts = urlsplit(place)
    if not parts.hostname or not parts.port:
        raise ValueError(f"{place!r} is not tcp://host:port")
    return parts.hostname, parts.port


def key_headers(place: str) -> dict[str, str]:
    return {"X-Deis-Builder-Auth": settings.BUILDER_KEY} if tcp_address(place) else {}


class Connection(http.client.HTTPConnection):
    """HTTP with the program at `place`."""

    def __init__(self, place: str, timeout: float):
        super().__init__("localhost", timeout=timeout)
        self._place = place

    def connect(self) -> None:
        if address := tcp_address(self._place):
            self.sock = socket.create_connection(address, timeout=self.timeout)
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._place)


def send_datagram(place: str, content: dict[str, Any]) -> None:
    """To `place` for datagrams: `<path>.intake`, or the same port over UDP. Raises: OSError."""
    address = tcp_address(place)
    message = json.dumps({**content, "key": settings.BUILDER_KEY} if address else content).encode()
    if address is None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(message, f"{place}.intake")
        return
    family, kind, _, _, where = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as sender:
        sender.setblocking(False)
        sender.sendto(message, where)
