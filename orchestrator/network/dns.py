"""The cluster's name server, on the gateway of this node's pods."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

from dnslib import (
    AAAA,
    CNAME,
    EDNS0,
    NS,
    PTR,
    QTYPE,
    RCODE,
    RR,
    SOA,
    SRV,
    TXT,
    A,
    DNSError,
    DNSHeader,
    DNSLabel,
    DNSQuestion,
    DNSRecord,
)

from orchestrator.network.forwarder import Forwarder, kind_name
from orchestrator.network.names import Zone

log = logging.getLogger(__name__)

TTL = 5  # seconds; endpoints come and go
PLAIN_SIZE, LARGEST_SIZE = 512, 1232  # bytes of a UDP answer: without EDNS, and what crosses any network unbroken
TCP_IDLE = 10.0  # seconds
IP_FREEBIND = 15  # linux/in.h: bind before the bridge has its address

_TYPES: dict[str, Any] = {"A": A, "AAAA": AAAA, "CNAME": CNAME, "PTR": PTR, "TXT": TXT}


class NameServer:
    """Answers one packet at a time; knows nothing of sockets."""

    def __init__(self, zone: Zone, forwarder: Forwarder) -> None:
        self._zone, self._forwarder = zone, forwarder

    async def answer(self, packet: bytes, *, udp: bool) -> bytes | None:
        """None for what is no question at all, and for what is not known yet: the client then asks again."""
        try:
            request = DNSRecord.parse(packet)
        except DNSError:
            return _format_error(packet)
        if request.header.qr:
            return None
        if not self._zone.complete and self._zone.is_ours(str(request.q.qname).rstrip(".").lower()):
            return None
        reply = await self._reply(request)
        size = LARGEST_SIZE
        if extension := next((each for each in request.ar if each.rtype == QTYPE.OPT), None):
            size = max(PLAIN_SIZE, min(int(extension.rclass), LARGEST_SIZE))
            reply.add_ar(EDNS0(udp_len=LARGEST_SIZE))
        elif udp:
            size = PLAIN_SIZE
        return fit(reply, size) if udp else bytes(reply.pack())

    async def _reply(self, request: DNSRecord) -> DNSRecord:
        header = DNSHeader(id=request.header.id, qr=1, aa=0, ra=1, rd=request.header.rd, opcode=request.header.opcode)
        reply = DNSRecord(header, questions=request.questions)
        if request.header.opcode != 0 or len(request.questions) != 1:
            reply.header.rcode = RCODE.NOTIMP if request.header.opcode else RCODE.FORMERR
            return reply
        question = request.q
        name = str(question.qname).rstrip(".").lower()
        if self._zone.is_ours(name):
            await self._from_zone(reply, name, question)
        else:
            await self._from_outside(reply, question)
        return reply

    async def _from_zone(self, reply: DNSRecord, name: str, question: DNSQuestion) -> None:
        kind = kind_name(question.qtype)
        reply.header.aa = 1
        if name == self._zone.domain and kind in ("SOA", "NS"):
            reply.add_answer(self._soa() if kind == "SOA" else self._ns())
            return
        answer = self._zone.answer(name, kind)
        for record in answer.records:
            # The question's own spelling: some resolvers check it.
            reply.add_answer(render_record(*record, owner=question.qname if record[0] == name else None))
        for record in self._zone.additional(answer.records):
            reply.add_ar(render_record(*record))
        if answer.alias:
            await self._follow(reply, answer.alias, question.qtype)
        elif not answer.records:
            reply.header.rcode = RCODE.NOERROR if answer.exists else RCODE.NXDOMAIN
            reply.add_auth(self._soa())

    async def _follow(self, reply: DNSRecord, alias: str, kind: int) -> None:
        if self._zone.is_ours(alias):
            for record in self._zone.answer(alias, kind_name(kind)).records:
                reply.add_answer(render_record(*record))
        else:
            found = await self._forwarder.resolve(DNSLabel(alias), kind)
            for record in found.records if found is not None else ():
                reply.add_answer(record)

    async def _from_outside(self, reply: DNSRecord, question: DNSQuestion) -> None:
        found = await self._forwarder.resolve(question.qname, question.qtype)
        if found is None:
            reply.header.rcode = RCODE.SERVFAIL
            return
        reply.header.rcode = found.rcode
        reply.add_answer(*found.records)
        reply.add_auth(*found.authority)

    def _soa(self) -> RR:
        domain = self._zone.domain
        times = (1, 7200, 1800, 86400, TTL)
        return RR(domain, QTYPE.SOA, rdata=SOA(f"ns.dns.{domain}", f"hostmaster.{domain}", times), ttl=TTL)

    def _ns(self) -> RR:
        return RR(self._zone.domain, QTYPE.NS, rdata=NS(f"ns.dns.{self._zone.domain}"), ttl=TTL)


def fit(reply: DNSRecord, size: int) -> bytes:
    """The reply in at most `size` bytes: first without what was not asked for, then with fewer answers and the mark
    that makes clients ask again by TCP. Some (musl's, once) never do, and take what is there.
    """
    data = bytes(reply.pack())
    if len(data) > size:
        reply.ar = [each for each in reply.ar if each.rtype == QTYPE.OPT]
        data = bytes(reply.pack())
    while len(data) > size and reply.rr:
        reply.header.tc = 1
        del reply.rr[len(reply.rr) * 3 // 4 :]
        data = bytes(reply.pack())
    return data


def render_record(name: str, kind: str, value: Any, *, owner: Any = None) -> RR:
    if kind == "SRV":
        data: Any = SRV(priority=0, weight=100, port=value[0], target=value[1])
    else:
        data = _TYPES[kind](value)
    return RR(owner or name, getattr(QTYPE, kind), rdata=data, ttl=TTL)


def _format_error(packet: bytes) -> bytes | None:
    """A bare FORMERR with the question's number, unless it was an answer itself."""
    if len(packet) < 12 or packet[2] & 0x80:
        return None
    return bytes(DNSRecord(DNSHeader(id=int.from_bytes(packet[:2], "big"), qr=1, rcode=RCODE.FORMERR)).pack())


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.create_task(self._serve(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            reply = await self._server.answer(data, udp=True)
        except Exception:  # one strange packet must not end the name server
            log.exception("a question from %s could not be answered", addr[0])
            return
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


async def _serve_stream(server: NameServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            async with asyncio.timeout(TCP_IDLE):
                length = int.from_bytes(await reader.readexactly(2), "big")
                packet = await reader.readexactly(length)
            reply = await server.answer(packet, udp=False)
            if reply is None:
                return
            writer.write(len(reply).to_bytes(2, "big") + reply)
            await writer.drain()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return  # the client is done
    finally:
        writer.close()


def bound_socket(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    """Bound even before the address exists, so that start order does not matter. Raises: OSError."""
    made = socket.socket(socket.AF_INET, kind)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    return made


async def serve_dns(server: NameServer, address: str, port: int = 53) -> None:
    """Until cancelled. Raises: OSError when the port is taken."""
    loop = asyncio.get_running_loop()
    datagrams = bound_socket(socket.SOCK_DGRAM, address, port)
    transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), sock=datagrams)
    try:
        streams = await asyncio.start_server(
            lambda reader, writer: _serve_stream(server, reader, writer),
            sock=bound_socket(socket.SOCK_STREAM, address, datagrams.getsockname()[1]),
        )
        async with streams:
            await streams.serve_forever()
    finally:
        transport.close()
