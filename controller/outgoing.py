"""POSTs to addresses that users name: never to the platform's own network, unless the operator allows it.

The name is resolved once, every address it has is checked, and the connection goes to a checked one: a name that
resolves to something else a moment later gains nothing. Redirects aren't followed. Whoever answers a byte at a time
doesn't keep a worker: a request as a whole has a deadline.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from controller.errors import cause_of

TIMEOUT = 10  # seconds for connecting to an address, and for each read
DEADLINE = 30  # seconds for a request in all, less than a delivery's lease
MOST_READ = 4096  # bytes of an answer
MOST_TRIED = 3  # addresses of a name
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # IPv4 inside, RFC 6052


class Refused(Exception):
    """The address isn't one to send to, or nothing there took it; the text says why."""


class Unresolved(Refused):
    """The name has no address now; it may have one later."""


class _Pinned(http.client.HTTPConnection):
    """A connection to the first that answers of addresses that were checked, under the name they were checked for."""

    def __init__(self, host: str, port: int, addresses: list[str], tls: bool):
        super().__init__(host, port, timeout=TIMEOUT)
        self._addresses, self._tls = addresses, tls
        self._raw: socket.socket | None = None
        self.cut = False

    def connect(self) -> None:
        self.sock = self._raw = self._first_that_answers()
        if self.cut:
            raise TimeoutError
        if self._tls:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
            self._raw = self.sock

    def _first_that_answers(self) -> socket.socket:
        *others, last = self._addresses
        for address in others:
            if self.cut:
                break
            try:
                return socket.create_connection((address, self.port), TIMEOUT)
            except OSError:
                continue
        return socket.create_connection((last, self.port), TIMEOUT)

    def cut_off(self) -> None:
        """Ends a request that takes too long, from another thread: what waits for its socket gets an error."""
        self.cut = True
        if self._raw is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._raw, socket.SHUT_RDWR)  # below TLS, which another thread is reading


def post_json(url: str, body: bytes, headers: dict[str, str]) -> int:
    """The status of the answer. Raises: Refused."""
    parts = checked_url(url)
    port = port_of(parts)
    addresses = checked_addresses(parts.hostname or "", port)
    connection = _Pinned(parts.hostname or "", port, addresses, parts.scheme == "https")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    watch = threading.Timer(DEADLINE, connection.cut_off)
    watch.daemon = True
    watch.start()
    try:
        connection.request("POST", target, body, {**headers, "Host": parts.netloc.rpartition("@")[2]})
        answer = connection.getresponse()
        answer.read(MOST_READ)
        if connection.cut:  # to the reader it looks like an end
            raise TimeoutError
        return answer.status
    except (OSError, http.client.HTTPException, ValueError) as exc:
        if connection.cut:
            raise Refused(f"did not answer in full within {DEADLINE} s") from exc
        raise Refused(f"could not be reached: {cause_of(exc)}") from exc
    finally:
        watch.cancel()
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


def port_of(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def refuse_what_is_private(url: str) -> None:
    """Says at once what sending would say. Raises: Refused; Unresolved when that can't be told now."""
    parts = checked_url(url)
    checked_addresses(parts.hostname or "", port_of(parts))


def checked_addresses(host: str, port: int) -> list[str]:
    """Those of `host`, in the order to try them. Raises: Refused when one of them may not be sent to."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise Unresolved(f"{host} can't be resolved: {cause_of(exc)}") from exc
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    for address in addresses:
        if not settings.WEBHOOKS_TO_PRIVATE_ADDRESSES and not is_public(address):
            named = host if host == address else f"{host} is {address}, which"
            raise Refused(f"{named} is no public address; the operator can allow it")
    return addresses[:MOST_TRIED]


def is_public(address: str) -> bool:
    ip = meant(address)
    return ip.is_global and not ip.is_multicast


def meant(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address, or the IPv4 one that it carries."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        return ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(ip.packed[12:]) if ip in NAT64 else ip)
    return ip
