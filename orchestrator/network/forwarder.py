"""Names outside the cluster: asked of the host's own resolvers, and remembered for as long as they allow."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from dnslib import QTYPE, RCODE, RR, DNSError, DNSHeader, DNSLabel, DNSQuestion, DNSRecord

RESOLV_CONF = Path("/etc/resolv.conf")
SYSTEMD_RESOLVED = Path("/run/systemd/resolve/resolv.conf")
TRY_TIMEOUT = 1.5  # seconds for one server; pods' resolvers ask again after 5
TOTAL_TIMEOUT = 4.0
CACHE_SIZE = 4096
LONGEST = 300.0  # seconds an answer is kept, whatever its TTL
NEGATIVE = 5.0


def read_servers(text: str, *, own: Collection[str] = ()) -> list[tuple[str, int]]:
    """Name servers of a resolv.conf; our own addresses are left out, they would ask us again."""
    servers = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if words[:1] == ["nameserver"] and len(words) > 1 and words[1] not in own:
            servers.append((words[1], 53))
    return servers


class HostServers:
    """The host's name servers, read again when its file changed."""

    def __init__(self, path: Path = RESOLV_CONF, *, own: Collection[str] = ()) -> None:
        self._path, self._own = path, own
        self._stamp: tuple[int, int] | None = None
        self._servers: list[tuple[str, int]] = []

    def __call__(self) -> list[tuple[str, int]]:
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime_ns, found.st_ino)
            if stamp != self._stamp:
                self._servers = read_servers(self._path.read_text(), own=self._own)
                self._stamp = stamp
        except OSError:
            self._servers, self._stamp = [], None
        return self._servers


class Found(NamedTuple):
    """What the servers said, with what is left of its time."""

    rcode: int
    records: list[RR]
    authority: list[RR]


class Forwarder:
    def __init__(
        self, servers: Callable[[], list[tuple[str, int]]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._servers, self._clock = servers, clock
        self._cache: OrderedDict[tuple[str, int], tuple[float, float, DNSRecord]] = OrderedDict()
        """(name, type) → (kept at, until, reply)."""
        self._pending: dict[tuple[str, int], asyncio.Task[DNSRecord | None]] = {}

    async def resolve(self, name: DNSLabel, kind: int) -> Found | None:
        """The servers' answer, None when there is none in time. Several who ask the same wait for one answer."""
        key = (str(name).lower(), kind)
        if (held := self._cache.get(key)) is not None:
            since, until, reply = held
            if until > self._clock():
                self._cache.move_to_end(key)
                return _aged(reply, int(self._clock() - since))
            del self._cache[key]
        if (task := self._pending.get(key)) is None:
            task = asyncio.create_task(self._ask_all(name, kind), name=f"dns {key[0]}")
            self._pending[key] = task
            task.add_done_callback(lambda _: self._pending.pop(key, None))
        answer = await asyncio.shield(task)
        if answer is None:
            return None
        self._keep(key, answer)
        return _aged(answer, 0)

    def _keep(self, key: tuple[str, int], reply: DNSRecord) -> None:
        if reply.header.rcode == RCODE.NOERROR and reply.rr:
            seconds = min(LONGEST, *(float(record.ttl) for record in reply.rr))
        elif reply.header.rcode in (RCODE.NOERROR, RCODE.NXDOMAIN):
            seconds = NEGATIVE
        else:
            return
        self._cache[key] = (self._clock(), self._clock() + seconds, reply)
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)

    async def _ask_all(self, name: DNSLabel, kind: int) -> DNSRecord | None:
        try:
            async with asyncio.timeout(TOTAL_TIMEOUT):
                for server in [*self._servers()] * 2:
                    reply = await self._ask(server, name, kind)
                    if reply is not None and reply.header.rcode not in (RCODE.SERVFAIL, RCODE.REFUSED):
                        return reply
        except TimeoutError:
            return None
        return None

    async def _ask(self, server: tuple[str, int], name: DNSLabel, kind: int) -> DNSRecord | None:
        question = DNSRecord(
            DNSHeader(id=secrets.randbits(16), rd=1), q=DNSQuestion(name, kind)
        )  # a fresh port and number for each: what an off-path forger must guess
        try:
            async with asyncio.timeout(TRY_TIMEOUT):
                reply = await ask_udp(server, question)
                if reply.header.tc:
                    reply = await ask_tcp(server, question)
        except (OSError, TimeoutError, DNSError, asyncio.IncompleteReadError):
            return None
        return reply


def _aged(reply: DNSRecord, seconds: int) -> Found:
    def older(records: list[RR]) -> list[RR]:
        return [RR(each.rname, each.rtype, each.rclass, max(each.ttl - seconds, 0), each.rdata) for each in records]

    return Found(reply.header.rcode, older(reply.rr), older(reply.auth))


class _Exchange(asyncio.DatagramProtocol):
    def __init__(self, question: DNSRecord, answered: asyncio.Future[DNSRecord]) -> None:
        self._question, self._answered = question, answered

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            reply = DNSRecord.parse(data)
        except DNSError:
            return
        if matches(self._question, reply) and not self._answered.done():
            self._answered.set_result(reply)

    def error_received(self, exc: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(exc)


def matches(question: DNSRecord, reply: DNSRecord) -> bool:
    return (
        reply.header.id == question.header.id
        and reply.header.qr == 1
        and len(reply.questions) == 1
        and reply.q.qtype == question.q.qtype
        and str(reply.q.qname).lower() == str(question.q.qname).lower()
    )


async def ask_udp(server: tuple[str, int], question: DNSRecord) -> DNSRecord:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[DNSRecord] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Exchange(question, answered), remote_addr=server)
    try:
        transport.sendto(question.pack())
        return await answered
    finally:
        transport.close()


async def ask_tcp(server: tuple[str, int], question: DNSRecord) -> DNSRecord:
    reader, writer = await asyncio.open_connection(*server)
    try:
        packet = question.pack()
        writer.write(len(packet).to_bytes(2, "big") + packet)
        await writer.drain()
        length = int.from_bytes(await reader.readexactly(2), "big")
        return DNSRecord.parse(await reader.readexactly(length))
    finally:
        writer.close()


def kind_name(kind: int) -> str:
    """`A`, `SRV` …; `TYPE65` for what has no name here."""
    try:
        return str(QTYPE.get(kind))
    except DNSError:
        return f"TYPE{kind}"
