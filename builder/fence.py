"""What builds can't reach: this host, the platform's pods and Services, and link-local addresses.

An nftables table of the instance's own drops what comes out of the builds' bridge for those, except the name servers
and the package indexes or proxies that the operator configured, should they live there. The rest of the world, with
its package indexes, is open.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from builder.egress import Address, Network
from builder.errors import EngineError
from builder.host_config import HostConfig

TRANSPORTS = "meta l4proto { tcp, udp } th"
NFT_TIMEOUT = 10.0  # seconds
RESOLV_CONF = Path("/etc/resolv.conf")
LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16")
URL = re.compile(r"""https?://[^\s"'<>,]+""")
PORTS = {"http": 80, "https": 443}
Hole = tuple[Address, int]  # an address and port that builds may reach wherever it is


def table_name(instance: str) -> str:
    return "builds_" + re.sub(r"[^a-zA-Z0-9]", "_", instance)


def render(instance: str, bridge: str, denied: Sequence[Network], open_to: Iterable[Hole]) -> str:
    """A ruleset for `nft -f` that takes the place of the one before."""
    name = table_name(instance)
    allowed = "\n".join(
        f'        iifname "{bridge}" {family(address)} daddr {address} {TRANSPORTS} dport {port} accept'
        for address, port in sorted(set(open_to), key=str)
    )
    drops = "\n".join(
        f'        iifname "{bridge}" {family(network)} daddr {network} drop' for network in (*denied, LINK_LOCAL)
    )
    return f"""\
table inet {name}
delete table inet {name}
table inet {name} {{
    comment "what builds of {instance} can't reach; written by the builder"
    chain to_host {{
        type filter hook input priority -10; policy accept;
        iifname "{bridge}" ct state established,related accept
{allowed}
        iifname "{bridge}" drop
    }}
    chain to_networks {{
        type filter hook forward priority -10; policy accept;
        iifname "{bridge}" ct state established,related accept
{allowed}
{drops}
    }}
}}
"""


def family(where: Address | Network) -> str:
    return "ip6" if where.version == 6 else "ip"


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def name_servers(text: str) -> list[Hole]:
    """Of a resolv.conf: the engine asks them for the containers, in the containers' name."""
    found = (line.split()[1] for line in text.splitlines() if re.match(r"nameserver\s+\S", line))
    return [(ipaddress.ip_address(address.partition("%")[0]), 53) for address in found]


def named_places(host: HostConfig) -> set[tuple[str, int]]:
    """Host and port of every URL in the package managers' settings that builds see."""
    places = set()
    for text in (*host.env.values(), *host.files.values()):
        for url in URL.findall(text):
            with suppress(ValueError):
                parts = urlsplit(url)
                if parts.hostname:
                    places.add((parts.hostname, parts.port or PORTS[parts.scheme]))
    return places


async def exceptions(host: HostConfig) -> list[Hole]:
    """Where package managers are sent, and this host's name servers."""
    found = name_servers(read(RESOLV_CONF))
    loop = asyncio.get_running_loop()
    for name, port in named_places(host):
        try:
            answers = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        except OSError:
            continue  # a name that leads nowhere needs no hole
        found += [(ipaddress.ip_address(str(answer[4][0]).partition("%")[0]), port) for answer in answers]
    return found


async def put_up(instance: str, bridge: str, denied: Sequence[Network], host: HostConfig) -> None:
    """Raises: EngineError when the kernel takes no such rules; then nothing may be built."""
    await nft(render(instance, bridge, denied, await exceptions(host)))


async def take_down(instance: str) -> None:
    name = table_name(instance)
    await nft(f"table inet {name}\ndelete table inet {name}\n")


async def nft(ruleset: str) -> None:
    await run_nft("-f", "-", given=ruleset)


async def tables() -> set[str]:
    """The names of all tables."""
    lines = (line.split() for line in (await run_nft("list", "tables")).splitlines())
    return {words[2] for words in lines if len(words) == 3}


async def run_nft(*words: str, given: str = "") -> str:
    """What nft prints. Raises: EngineError."""
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec("nft", *words, stdin=pipe, stdout=pipe, stderr=pipe)
        async with asyncio.timeout(NFT_TIMEOUT):
            output, errors = await process.communicate(given.encode())
    except (OSError, TimeoutError) as exc:
        raise EngineError(f"Builds can't be fenced off from the platform: nft: {exc or 'no answer'}.") from exc
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[:1]
        raise EngineError(f"Builds can't be fenced off from the platform: {' '.join(last)}")
    return output.decode()
