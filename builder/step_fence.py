"""The fence around steps that the engine's BuildKit runs: it puts them on the engine's default bridge, beside others.

BuildKit takes no network of ours, so a step can't be told by its bridge as other builds are (fence.py). It is told by
what it isn't: on the default bridge everything is a step of ours that is neither a container nor, by the engine's own
file about it, a step of somebody else's build. Whoever is unknown is fenced in, so a step is from its first packet;
a container becomes known between the engine's giving it an address and the start of its first process.

Each build has a table of its own, which ends by itself a minute after its builder was killed.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder import fence
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


@dataclass
class Guests:
    """Who is on the bridge and no step of ours: by endpoint, their hardware addresses."""

    known: dict[str, str] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)  # those of them that were there when the build began


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
    name: str, bridge: str, links: Iterable[str], guests: Guests, denied: Sequence[Network], open_to: Iterable[Hole]
) -> str:
    """A ruleset for `nft -f` that takes the place of the one before.

    `links`: the names of those that there were when the build began. A frame from a later one that pretends to come
    from a container which was there already is a step's.
    """
    allowed = "\n".join(
        f"        {fence.family(address)} daddr {address} {fence.TRANSPORTS} dport {port} accept"
        for address, port in sorted(set(open_to), key=str)
    )
    drops = "\n".join(
        f"        {fence.family(network)} daddr {network} drop" for network in (*denied, fence.LINK_LOCAL)
    )
    return f"""\
table inet {name}
delete table inet {name}
table bridge {name}
delete table bridge {name}
table inet {name} {{
    comment "what steps of a build can't reach; written by the builder"
    set bridges {{ type ifname; flags timeout; elements = {{ "{bridge}" timeout {LIFE}s }}; }}
    set known {{ type ether_addr; {elements(guests.known.values())}}}
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
table bridge {name} {{
    set links {{ type ifname; {elements(f'"{link}"' for link in links)}}}
    set before {{ type ether_addr; flags timeout; {elements(guests.before.values(), f" timeout {LIFE}s")}}}
    chain pretenders {{
        type filter hook prerouting priority -300; policy accept;
        iifname != @links ether saddr @before drop
    }}
}}
"""


def elements(members: Iterable[str], more: str = "") -> str:
    listed = ", ".join(f"{one}{more}" for one in sorted(set(members)))
    return f"elements = {{ {listed} }}; " if listed else ""


def is_foreign_step(name: str, mark: str, folder: Path) -> bool:
    """Whether the engine's file about the step `name` is there, and has no `mark` in it.

    The file is written before the step starts and can't be changed by it.
    """
    for path in folder.glob("*/config.json"):
        with suppress(OSError):
            text = path.read_text(errors="replace")
            if f'"{name}"' in text:
                return text.rstrip().endswith("}") and mark not in text
    return False


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
        self._guests, self._executor = Guests(), Path()
        self._links: tuple[str, ...] = ()
        self._bridge = ""
        self._changed = asyncio.Event()

    async def begin(self) -> None:
        """Raises: EngineError when the kernel takes no such rules; then nothing may be built."""
        self._executor = await self._engine.root() / "buildkit" / "executor"
        self._links = tuple(name for _, name in socket.if_nameindex())
        there = await self._look()
        self._guests.before = {one.endpoint: one.mac for one in there if one.is_container}
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
        written = loop.time()
        while not listening.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._changed.wait()
            self._changed.clear()
            before = dict(self._guests.known)
            await self._look()
            if self._guests.known != before or loop.time() - written > RENEW:
                await self._write()
                written = loop.time()
        listening.result()

    async def _look(self) -> list[Member]:
        """Who is on the bridge; guests that came are known from now on, and those that went are forgotten."""
        network = await self._engine.call("GET", f"/networks/{NETWORK}")
        self._bridge, there = link_of(network), members(network)
        known = self._guests.known
        self._guests.known = {
            one.endpoint: one.mac for one in there if one.endpoint in known or await self._is_guest(one)
        }
        self._guests.before = {key: mac for key, mac in self._guests.before.items() if key in self._guests.known}
        return there

    async def _steps_are_there(self) -> bool:
        return any(one.endpoint not in self._guests.known for one in await self._look())

    async def _is_guest(self, one: Member) -> bool:
        if not one.is_container:
            return await asyncio.to_thread(is_foreign_step, one.name, self._mark, self._executor)
        filters = {"id": [one.name]}  # the list: asked for one alone, the engine lets us wait until it has started
        return bool(await self._engine.call("GET", "/containers/json", params={"all": 1, "filters": filters}))

    async def _write(self) -> None:
        rules = render(self._name, self._bridge, self._links, self._guests, self._denied, self._open_to)
        await fence.nft(rules)


async def remove(name: str) -> None:
    await fence.nft("".join(f"table {kind} {name}\ndelete table {kind} {name}\n" for kind in ("inet", "bridge")))


async def sweep(instance: str) -> None:
    """Remove the tables that builds of `instance` left. Raises: EngineError."""
    ours = re.compile(re.escape(table_name(instance, "")) + r"[0-9a-f]{16}")
    for name in await fence.tables():
        if ours.fullmatch(name):
            await remove(name)
