"""Which hosts the builder itself may be sent to: public ones, and those networks the operator allows.

A URL of a git host comes from users. Names are resolved here, once, and the connection goes to the address that was
checked: a name that answers otherwise the next time leads nowhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult

from builder.errors import BuildFailed

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
RESOLVE_TIMEOUT = 10.0  # seconds
PORTS = {"https": 443, "http": 80, "ssh": 22}


def parse_networks(text: str) -> tuple[Network, ...]:
    """`10.1.0.0/16, fd00::/8`. Raises: ValueError."""
    return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if any(address.version == network.version and address in network for network in allowed):
        return True
    return address.is_global and not address.is_multicast


def proxy_of(url: SplitResult, environment: Mapping[str, str]) -> str:
    """The proxy that `environment` sends `url` through, or ""."""
    if url.scheme not in ("http", "https"):
        return ""
    excluded = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    host = url.hostname or ""
    for name in filter(None, (part.strip().lstrip(".") for part in excluded.split(","))):
        if name == "*" or host == name or host.endswith(f".{name}"):
            return ""
    name = f"{url.scheme}_proxy"
    return environment.get(name) or environment.get(name.upper()) or ""


async def resolve(url: SplitResult, allowed: Sequence[Network]) -> str:
    """The address to connect to for `url`. Raises: BuildFailed for a host that isn't known or must not be reached."""
    host, port = url.hostname or "", url.port or PORTS[url.scheme]
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as exc:
        raise BuildFailed(f"The git host {host} isn't known here: {exc or 'no answer'}.") from exc
    for entry in found:
        address = ipaddress.ip_address(str(entry[4][0]).partition("%")[0])
        if is_allowed(address, allowed):
            return str(address)
    raise BuildFailed(
        f"The git host {host} is within a private network, which builds must not reach. "
        "The operator can allow its network: BUILD_FETCH_ALLOW."
    )


def refuse_literal(url: SplitResult, allowed: Sequence[Network]) -> None:
    """What can be told without resolving: for connections that a proxy makes. Raises: BuildFailed."""
    try:
        address = ipaddress.ip_address(url.hostname or "")
    except ValueError:
        return
    if not is_allowed(address, allowed):
        raise BuildFailed(f"The git host {address} is within a private network, which builds must not reach.")
