"""Where readers ask and lines come in: a unix socket on one host, or an address between pods.

Who may open the socket's file needs to prove nothing more; over the network the key that opens the controller's hooks
comes along.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from pathlib import Path

from logger.errors import BadSetting

TCP = "tcp://"
KEY_HEADER = "x-deis-builder-auth"


@dataclass(frozen=True)
class Address:
    """TCP for readers, UDP for lines and nudges, at the same port."""

    host: str
    port: int


def place_of(text: str) -> Path | Address:
    """Raises: BadSetting."""
    if not text.startswith(TCP):
        return Path(text)
    host, _, port = text.removeprefix(TCP).rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 <= int(port) < 65536):
        raise BadSetting(f"LOGGER_LISTEN={text!r} is not usable: expected a socket's path or tcp://host:port")
    return Address(host.strip("[]"), int(port))


@dataclass(frozen=True)
class Door:
    """Lets in who knows the key; everybody, where there is none."""

    key: str = ""

    def opens_to(self, offered: object) -> bool:
        return not self.key or (isinstance(offered, str) and hmac.compare_digest(offered.encode(), self.key.encode()))

    def opens_to_head(self, head: str) -> bool:
        """Whether a request's head has the key."""
        pairs = (line.partition(":") for line in head.split("\r\n")[1:])
        return self.opens_to({name.strip().lower(): value.strip() for name, _, value in pairs}.get(KEY_HEADER))


OPEN = Door()
