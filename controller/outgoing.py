"""POSTs to addresses that users name: never to the platform's own network, unless the operator allows it.

The name is resolved once, every address it has is checked, and the connection goes to a checked one: a name that
resolves to something else a moment later gains nothing. Redirects aren't followed.
"""

import http.client
import ipaddress
import socket
import ssl
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

TIMEOUT = 10  # seconds for connecting, and for each read
MOST_READ = 4096  # bytes of an answer


class Refused(Exception):
    """The address isn't one to send to, or nothing there took it; the text says why."""


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was checked, under the name it was checked for."""

    def __init__(self, host: str, port: int, address: str, tls: bool):
        super().__init__(host, port, timeout=TIMEOUT)
        self._address, self._tls = address, tls

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), TIMEOUT)
        if self._tls:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


def post_json(url: str, body: bytes, headers: dict[str, str]) -> int:
    """The status of the answer. Raises: Refused."""
    parts = checked_url(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = _Pinned(
        parts.hostname or "", port, checked_address(parts.hostname or "", port), parts.scheme == "https"
    )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, body, {**headers, "Host": parts.netloc.rpartition("@")[2]})
        answer = connection.getresponse()
        answer.read(MOST_READ)
        return answer.status
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise Refused(f"could not be reached: {exc}") from exc
    finally:
        connection.close()


def checked_url(url: str) -> SplitResult:
    """Raises: Refused."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises when it is none
    except ValueError as exc:
        raise Refused(f"that is no address: {exc}") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused("an address begins with http:// or https:// and names a host")
    if not url.isprintable() or " " in url:
        raise Refused("an address holds no blanks or control characters")
    return parts


def checked_address(host: str, port: int) -> str:
    """An address of `host` that may be sent to. Raises: Refused when it has one that may not."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise Refused(f"{host} can't be resolved: {exc}") from exc
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    for address in addresses:
        if not settings.WEBHOOKS_TO_PRIVATE_ADDRESSES and not is_public(address):
            raise Refused(f"{host} is {address}, which is no public address; the operator can allow it")
    return addresses[0]


def is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return ip.is_global and not ip.is_multicast
