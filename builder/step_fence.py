"""The fence around steps that the engine's BuildKit runs: it puts them on the engine's default bridge, beside others.

BuildKit takes no network of ours, so a step can't be told by its bridge as other builds are (fence.py). It is told by
what it isn't: on the default bridge everything is a step of ours that is neither a container nor, by the engine's own
file about it, a step of somebody else's build. Whoever is unknown is fenced in, so a step is from its first packet;
a container becomes known between the engine's giving it an address and the start of its first process.

What it isn't is told by hardware address where the rules are the host's, since these see no port of the bridge. So that
an address proves anything, the bridge lets through only frames that come by the port of whose address they bear
(bridge_ports.py), and nothing from a step's port to a guest's.

Each build has a table of its own, which ends by itself a minute after its builder was killed.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder import bridge_ports, fence
from builder.bridge_ports import Port
from builder.egress import Network
from builder.engine import Engine, link_of
from builder.errors import EngineError
from builder.fence import Hole
from builder.host_config import HostConfig
from builder.settings import Settings
from builder.watching import watched

log = logging.getLogger("builder.step_fence")
NETWORK = "bridge"  # the engine's default one
LIFE = 60  # seconds a table holds by itself
RENEW = 15.0  # seconds between its renewals
LOOK = 0.25  # seconds between looks at who is on the bridge, when the engine tells nothing
SOON = 0.02  # seconds between them while somebody's port isn't known, but
AT_MOST = 150  # times in a row
LINGER = 20.0  # seconds the steps of a build that was stopped may take to end
CONTAINER = re.compile(r"[0-9a-f]{64}")  # how the engine names them; BuildKit's steps have other names


@dataclass(frozen=True)
class Member:
    """Somebody on the bridge."""

    name: str
    endpoint: str
    mac: str

    @property
    def is_container(self) -> bool:
        return bool(CONTAINER.fullmatch(self.name))


@dataclass(frozen=True)
class Guest:
    """Somebody on the bridge who is no step of ours: hardware address, and the name of the port that it comes by."""

    mac: str
    port: str


def table_name(instance: str, mark: str) -> str:
    return f"{fence.table_name(instance)}_{mark}"


def new_mark() -> str:
    """What tells a build's steps: it is in the environment of each, and in the name of the build's table."""
    return secrets.token_hex(8)


def members(network: Mapping[str, Any]) -> list[Member]:
    """Of the engine's description of a network."""
    listed = network.get("Containers") or {}
    return [Member(name, one["EndpointID"], one["MacAddress"]) for name, one in listed.items() if one["MacAddress"]]


def render(
    name: str,
    bridge: str,
    elsewhere: Iterable[str],
    guests: Collection[Guest],
    denied: Sequence[Network],
    open_to: Iterable[Hole],
) -> str:
    """A ruleset for `nft -f` that takes the place of the one before.

    `elsewhere`: the names of links that aren't the bridge's ports. What a set says of guests ends by itself.
    """
    allowed = "\n".join(
        f"        {fence.family(address)} daddr {address} {fence.TRANSPORTS} dport {port} accept"
        for address, port in sorted(set(open_to), key=str)
    )
    drops = "\n".join(
        f"        {fence.family(network)} daddr {network} drop" for network in (*denied, fence.LINK_LOCAL)
    )
    known = elements(guest.mac for guest in guests)
    return f"""\
table inet {name}
delete table inet {name}
table bridge {name}
delete table bridge {name}
table inet {name} {{
    comment "what steps of a build can't reach; written by the builder"
    set bridges {{ type ifname; flags timeout; elements = {{ "{bridge}" timeout {LIFE}s }}; }}
    set known {{ type ether_addr; {known}}}
    chain to_host {{
        type filter hook input priority -10; policy accept;
        iifname @bridges ether saddr != @known goto step_to_host
    }}
    chain step_to_host {{
        ct state established,related accept
{allowed}
        drop
    }}
    chain to_networks {{
        type filter hook forward priority -10; policy accept;
        iifname @bridges ether saddr != @known goto step_to_networks
    }}
    chain step_to_networks {{
        ct state established,related accept
{allowed}
        oifname @bridges drop
{drops}
    }}
}}
{render_ports(name, elsewhere, guests)}"""


def render_ports(name: str, elsewhere: Iterable[str], guests: Collection[Guest]) -> str:
    """The part that looks at the bridge's ports."""
    lasting = f" timeout {LIFE}s"
    return f"""\
table bridge {name} {{
    set elsewhere {{ type ifname; {elements(f'"{link}"' for link in elsewhere)}}}
    set known {{ type ether_addr; flags timeout; {elements((guest.mac for guest in guests), lasting)}}}
    set places {{ type ether_addr . ifname; flags timeout; {
        elements((f'{guest.mac} . "{guest.port}"' for guest in guests), lasting)
    }}}
    set ports {{ type ifname; flags timeout; {elements((f'"{guest.port}"' for guest in guests), lasting)}}}
    chain pretenders {{
        type filter hook prerouting priority -300; policy accept;
        iifname != @elsewhere ether saddr @known ether saddr . iifname != @places drop
    }}
    chain to_guests {{
        type filter hook forward priority -300; policy accept;
        oifname @ports iifname != @ports drop
    }}
}}
"""


def elements(members: Iterable[str], more: str = "") -> str:
    listed = ", ".join(f"{one}{more}" for one in sorted(set(members)))
    return f"elements = {{ {listed} }}; " if listed else ""


@dataclass(frozen=True)
class Step:
    """What the engine's file about a build's step says; written before it starts, and not to be changed by it."""

    group: str = ""  # its name in control groups; empty: there is no whole file yet
    is_foreign: bool = False  # whether it is surely another build's


def step_of(name: str, mark: str, folder: Path) -> Step:
    """The step that the network knows as `name`; steps of ours have `mark` in their files."""
    for path in folder.glob("*/config.json"):
        with suppress(OSError):
            text = path.read_text(errors="replace")
            if f'"{name}"' in text and text.rstrip().endswith("}"):
                return Step(path.parent.name, mark not in text)
    return Step()


class StepFence:
    def __init__(self, engine: Engine, settings: Settings, host: HostConfig) -> None:
        self._engine, self._settings, self._host = engine, settings, host
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def around(self, mark: str) -> AsyncIterator[None]:
        """Steps with `mark` in their environment are fenced in until the last one has ended.

        Raises: EngineError when the fence can't be kept up; what is within is cancelled then.
        """
        if not self._settings.engine_is_here or not await self._bridge_exists():
            yield
            return
        watch = Watch(self._engine, self._settings, mark, await fence.exceptions(self._host))
        await watch.begin()
        try:
            async with watched(watch.run()):
                yield
        finally:
            ending = asyncio.create_task(watch.end())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _bridge_exists(self) -> bool:
        """An engine may be without a default network; steps are then without any."""
        try:
            await self._engine.call("GET", f"/networks/{NETWORK}")
        except EngineError as exc:
            if exc.status == 404:
                return False
            raise
        return True


class Watch:
    """Keeps one build's table true to who is on the bridge."""

    def __init__(self, engine: Engine, settings: Settings, mark: str, open_to: Iterable[Hole]) -> None:
        self._engine, self._mark = engine, mark
        self._name, self._denied, self._open_to = table_name(settings.instance, mark), settings.denied, tuple(open_to)
        self._executor, self._bridge = Path(), ""
        self._guests: dict[str, Member] = {}  # by endpoint; not all of them have a port that is known
        self._steps: Collection[str] = ()  # endpoints of all others
        self._at: dict[Port, str] = {}  # who is at which port: endpoints
        self._settled: set[str] = set()  # endpoints that have had a port
        self._unclaimed: frozenset[Port] = frozenset()  # ports nobody was at when the build began
        self._elsewhere: frozenset[str] = frozenset()
        self._changed = asyncio.Event()

    async def begin(self) -> None:
        """Raises: EngineError when the kernel takes no such rules; then nothing may be built."""
        self._executor = await self._engine.root() / "buildkit" / "executor"
        ports = await self._look()
        self._unclaimed = frozenset(ports) - self._at.keys()
        await self._write()

    async def run(self) -> None:
        """For ever. Raises: EngineError when the fence can't be kept up."""
        listening = asyncio.create_task(self._listen())
        try:
            await self._follow(listening)
        except EngineError as exc:
            raise EngineError(f"The build's fence could not be kept up: {exc}") from exc
        finally:
            listening.cancel()

    async def end(self) -> None:
        """Take the table down once no step of the build is there any more."""
        try:
            async with asyncio.timeout(LINGER):
                while await self._steps_are_there():  # noqa: ASYNC110 - the engine doesn't tell
                    await asyncio.sleep(LOOK)
        except (EngineError, TimeoutError) as exc:
            log.warning("a build's fence stays up until it ends by itself: %s", exc or "its steps are still there")
            return
        with suppress(EngineError):
            await remove(self._name)

    async def _listen(self) -> None:
        """Have `_follow` look at once whenever a container comes or goes."""
        filters = {"type": ["network"], "event": ["connect", "disconnect"]}
        async for _ in self._engine.progress("GET", "/events", params={"filters": filters}):
            self._changed.set()
        raise EngineError("The Docker Engine tells nothing any more.")

    async def _follow(self, listening: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        written, hurried = loop.time(), 0
        while not listening.done():
            hurried = hurried + 1 if self._is_incomplete() else 0
            with suppress(TimeoutError):
                async with asyncio.timeout(SOON if 0 < hurried < AT_MOST else LOOK):
                    await self._changed.wait()
            self._changed.clear()
            before = self._trusted()
            await self._look()
            if self._trusted() != before or loop.time() - written > RENEW:
                await self._write()
                written = loop.time()
        listening.result()

    def _trusted(self) -> frozenset[Guest]:
        """Guests whose port is known; of nobody else's address one can tell that it is no step's invention."""
        found = ((self._guests[name], port) for port, name in self._at.items() if name in self._guests)
        return frozenset(Guest(member.mac, port.name) for member, port in found)

    def _is_incomplete(self) -> bool:
        return not self._guests.keys() <= set(self._at.values())

    async def _look(self) -> tuple[Port, ...]:
        """Who is on the bridge, and at which of its ports. Raises: EngineError."""
        network = await self._engine.call("GET", f"/networks/{NETWORK}")
        self._bridge, there = link_of(network), members(network)
        called: dict[str, set[str]] = {}
        guests: dict[str, Member] = {}
        for one in there:
            if one.is_container:
                called[one.endpoint] = {one.name}
                is_guest = one.endpoint in self._guests or await self._exists(one)
            else:
                step = await asyncio.to_thread(step_of, one.name, self._mark, self._executor)
                called[one.endpoint], is_guest = {step.group} - {""}, step.is_foreign
            if is_guest:
                guests[one.endpoint] = one
        self._guests, self._steps = guests, called.keys() - guests.keys()
        return await asyncio.to_thread(self._place, called)

    def _place(self, called: Mapping[str, Collection[str]]) -> tuple[Port, ...]:
        """Find out who is at which port; all ports. Blocking. Raises: EngineError."""
        try:
            links = bridge_ports.look(self._bridge)
            unknown = {port.namespace for port in links.ports if self._at.get(port) not in called}
            groups = bridge_ports.groups_in(unknown)
        except OSError as exc:
            raise EngineError(f"The kernel doesn't tell who is on {self._bridge}: {exc.strerror}.") from exc
        self._elsewhere = links.elsewhere
        self._at = bridge_ports.owners(links.ports, called, self._at, groups, (self._unclaimed, self._settled))
        self._settled.update(self._at.values())
        return links.ports

    async def _steps_are_there(self) -> bool:
        await self._look()
        return bool(self._steps)

    async def _exists(self, one: Member) -> bool:
        filters = {"id": [one.name]}  # the list: asked for one alone, the engine lets us wait until it has started
        return bool(await self._engine.call("GET", "/containers/json", params={"all": 1, "filters": filters}))

    async def _write(self) -> None:
        rules = render(self._name, self._bridge, self._elsewhere, self._trusted(), self._denied, self._open_to)
        await fence.nft(rules)


async def remove(name: str) -> None:
    await fence.nft("".join(f"table {kind} {name}\ndelete table {kind} {name}\n" for kind in ("inet", "bridge")))


async def sweep(instance: str) -> None:
    """Remove the tables that builds of `instance` left. Raises: EngineError."""
    ours = re.compile(re.escape(table_name(instance, "")) + r"[0-9a-f]{16}")
    for name in await fence.tables():
        if ours.fullmatch(name):
            await remove(name)
