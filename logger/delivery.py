"""Taking a batch of lines to where a drain leads: `deliver` returns once the other side has it, or says why not."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import secrets
import socket
import ssl
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from logger.http import request
from logger.syslog import LONGEST_DATAGRAM, framed, message

TIMEOUT = 15.0  # seconds for one batch
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # IPv4 inside, RFC 6052
RETRIED = (408, 425, 429)  # with 5xx: the same batch may be taken later


class NotDelivered(Exception):
    """The other side didn't take a batch; trying again may help."""


class Unwanted(Exception):
    """The other side refused a batch for good."""


class Delivery(Protocol):
    async def deliver(self, app: str, lines: list[bytes]) -> None:
        """Raises: NotDelivered, Unwanted."""

    def close(self) -> None: ...


def delivery_to(address: str, *, local: bool) -> Delivery:
    """By the address' scheme; `local` allows this host and private networks."""
    url = urlsplit(address)
    if url.scheme in ("http", "https"):
        return Http(url, local)
    if url.scheme == "syslog+udp":
        return Udp(url, local)
    return Stream(url, local)


async def resolve(url: SplitResult, port: int, *, local: bool) -> str:
    """An address of the host. Raises: NotDelivered, also when it is one that a drain may not reach."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.hostname, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise NotDelivered(f"{url.hostname} can't be resolved ({exc.strerror})") from exc
    address = str(found[0][4][0])
    if not local and is_local(address):
        raise NotDelivered(f"{url.hostname} is no public address; an administrator may add such a drain")
    return address


def is_local(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):  # the IPv4 address that it may carry
        ip = ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(ip.packed[12:]) if ip in NAT64 else ip)
    return not ip.is_global or ip.is_multicast


class Http:
    """Batches as Heroku posts them: RFC 5424 messages, each after its length, `application/logplex-1`."""

    def __init__(self, url: SplitResult, local: bool) -> None:
        self._url, self._local = url, local
        self._trust = Trust() if url.scheme == "https" else None

    async def deliver(self, app: str, lines: list[bytes]) -> None:
        url, tls = self._url, self._trust.context() if self._trust else None
        port = url.port or (443 if tls else 80)
        address = await resolve(url, port, local=self._local)
        body = b"".join(framed(message(app, line) + b"\n") for line in lines)
        headers = [
            ("Content-Type", "application/logplex-1"),
            ("User-Agent", "paas-logger"),
            ("Logplex-Msg-Count", str(len(lines))),
            ("Logplex-Frame-Id", secrets.token_hex(8)),
        ]
        if url.username:
            login = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
            headers.append(("Authorization", "Basic " + base64.b64encode(login).decode()))
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        try:
            async with request(
                address, port, tls, "POST", target, headers, body, TIMEOUT, name=url.hostname or ""
            ) as answer:
                status = answer.status
        except (OSError, TimeoutError) as exc:
            raise NotDelivered(_words(exc, self._trust)) from exc
        if status >= 500 or status in RETRIED:
            raise NotDelivered(f"it answered {status}")
        if status >= 300:
            raise Unwanted(f"it answered {status}")

    def close(self) -> None:
        """Each batch has a connection of its own."""


class Stream:
    """Syslog over TCP or TLS, on one connection for as long as it lasts."""

    def __init__(self, url: SplitResult, local: bool) -> None:
        self._url, self._local = url, local
        self._trust = Trust() if url.scheme == "syslog+tls" else None
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._noticing: asyncio.Future[None] | None = None

    async def deliver(self, app: str, lines: list[bytes]) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                reader, writer = await self._connection()
                if reader.at_eof():
                    raise ConnectionResetError("it closed the connection")
                writer.write(b"".join(framed(message(app, line)) for line in lines))
                await writer.drain()
        except (OSError, TimeoutError) as exc:
            self.close()
            raise NotDelivered(_words(exc, self._trust)) from exc

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._open is not None and self._open[0].at_eof():
            self.close()
        if self._open is None:
            tls = self._trust and self._trust.context()
            port = self._url.port or (6514 if tls else 514)
            address = await resolve(self._url, port, local=self._local)
            name = self._url.hostname if tls else None
            reader, writer = await asyncio.open_connection(address, port, ssl=tls, server_hostname=name)
            self._open = reader, writer
            self._noticing = asyncio.ensure_future(_notice_end(reader))
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None


async def _notice_end(reader: asyncio.StreamReader) -> None:
    """Reads what nobody should send, so that the other side's end is seen before more is written."""
    with contextlib.suppress(OSError):
        while await reader.read(4096):
            continue


class Udp:
    """Syslog as datagrams: nothing tells whether they arrive."""

    def __init__(self, url: SplitResult, local: bool) -> None:
        self._url, self._local = url, local

    async def deliver(self, app: str, lines: list[bytes]) -> None:
        port = self._url.port or 514
        address = await resolve(self._url, port, local=self._local)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            loop = asyncio.get_running_loop()
            for line in lines:
                with contextlib.suppress(ConnectionRefusedError):
                    await loop.sock_sendto(sender, message(app, line)[:LONGEST_DATAGRAM], (address, port))

    def close(self) -> None:
        """Nothing is open."""


class Trust:
    """The authorities this machine trusts, read again after a certificate that none of them vouches for."""

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        self._context = self._context or ssl.create_default_context()
        return self._context

    def forget(self) -> None:
        self._context = None


def _words(exc: BaseException, trust: Trust | None = None) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        if trust:
            trust.forget()
        said = exc.verify_message.rstrip(".")
        return f"its certificate isn't accepted: {said}; a CA of your own is to be among those this machine trusts"
    if isinstance(exc, ssl.SSLError):
        return f"it doesn't speak TLS as it should ({exc.reason or exc})"
    if isinstance(exc, TimeoutError):
        return f"no answer within {TIMEOUT:.0f} s"
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
