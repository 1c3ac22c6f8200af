"""The name server over real sockets, with a second one as the host's resolver."""

import asyncio
import contextlib
import random
import socket

import pytest
from dnslib import EDNS0, QTYPE, RCODE, RR, A, DNSLabel, DNSRecord

from orchestrator.network.dns import NameServer, serve_dns
from orchestrator.network.forwarder import TRY_TIMEOUT, Forwarder, HostServers, ask_tcp, ask_udp, read_servers
from orchestrator.network.names import Zone
from orchestrator.network.services import SERVICE_NAME


def free_port():
    """Free for UDP and TCP, and none that the kernel gives to connections."""
    while True:
        port = random.randrange(15000, 30000)
        with contextlib.suppress(OSError):
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
            return port


class Upstream(asyncio.DatagramProtocol):
    """Knows example.test, has never heard of others, and says nothing at all to `silent.test`."""

    def __init__(self):
        self.asked = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        request = DNSRecord.parse(data)
        name = str(request.q.qname)
        self.asked.append(name)
        if name == "silent.test.":
            return
        reply = request.reply()
        if name == "example.test.":
            reply.add_answer(RR(name, QTYPE.A, rdata=A("192.0.2.1"), ttl=60))
        else:
            reply.header.rcode = RCODE.NXDOMAIN
        self.transport.sendto(reply.pack(), addr)


@pytest.fixture
async def upstream():
    port = free_port()
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Upstream, local_addr=("127.0.0.1", port)
    )
    protocol.address = ("127.0.0.1", port)
    yield protocol
    transport.close()


def make_zone(count=2):
    zone = Zone("cluster.local", ("10.201.0.0/16",))
    meta = {"namespace": "shop"}
    ports = [{"port": 80}]
    zone.change_service(
        None, {"metadata": {**meta, "name": "web"}, "spec": {"clusterIP": "10.202.0.5", "ports": ports}}
    )
    zone.change_service(None, {"metadata": {**meta, "name": "db"}, "spec": {"clusterIP": "None", "ports": ports}})
    alias = {"type": "ExternalName", "externalName": "example.test"}
    zone.change_service(None, {"metadata": {**meta, "name": "alias"}, "spec": alias})
    zone.change_slice(
        None,
        {
            "metadata": {**meta, "name": "db-x", "labels": {SERVICE_NAME: "db"}},
            "endpoints": [{"addresses": [f"10.201.{i // 200}.{i % 200 + 2}"]} for i in range(count)],
        },
    )
    return zone


@contextlib.asynccontextmanager
async def serving(zone, servers):
    """The address of a name server that runs."""
    port = free_port()
    task = asyncio.create_task(serve_dns(NameServer(zone, Forwarder(lambda: servers)), "127.0.0.1", port))
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.01)
        yield ("127.0.0.1", port)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def ask(server, name, kind="A", by=ask_udp, size=0):
    question = DNSRecord.question(name, kind)
    if size:
        question.add_ar(EDNS0(udp_len=size))
    async with asyncio.timeout(60):
        return await by(server, question)


async def test_a_service_resolves_by_udp_and_tcp_in_the_spelling_asked():
    async with serving(make_zone(), []) as server:
        for by in (ask_udp, ask_tcp):
            reply = await ask(server, "WEB.shop.svc.cluster.local", by=by)
            assert [str(record.rdata) for record in reply.rr] == ["10.202.0.5"]
            assert str(reply.rr[0].rname) == "WEB.shop.svc.cluster.local."
            assert reply.header.aa


async def test_an_unknown_name_of_ours_is_nxdomain_and_never_asked_outside(upstream):
    async with serving(make_zone(), [upstream.address]) as server:
        reply = await ask(server, "none.shop.svc.cluster.local")
        assert reply.header.rcode == RCODE.NXDOMAIN and reply.auth[0].rtype == QTYPE.SOA
        assert (await ask(server, "web.shop.svc.cluster.local", "AAAA")).header.rcode == RCODE.NOERROR
        assert upstream.asked == []


async def test_other_names_are_asked_outside_once_and_remembered(upstream):
    async with serving(make_zone(), [upstream.address]) as server:
        replies = await asyncio.gather(*(ask(server, "example.test") for _ in range(5)))
        assert {str(reply.rr[0].rdata) for reply in replies} == {"192.0.2.1"}
        assert (await ask(server, "nothing.test")).header.rcode == RCODE.NXDOMAIN
        await ask(server, "example.test")
        assert upstream.asked == ["example.test.", "nothing.test."]


async def test_an_external_service_brings_the_address_of_its_target(upstream):
    async with serving(make_zone(), [upstream.address]) as server:
        reply = await ask(server, "alias.shop.svc.cluster.local")
        assert [(QTYPE[record.rtype], str(record.rdata)) for record in reply.rr] == [
            ("CNAME", "example.test."),
            ("A", "192.0.2.1"),
        ]


async def test_without_resolvers_the_answer_is_servfail_at_once():
    async with serving(make_zone(), []) as server, asyncio.timeout(TRY_TIMEOUT):
        assert (await ask(server, "example.test")).header.rcode == RCODE.SERVFAIL


async def test_a_silent_resolver_is_servfail_within_the_deadline_and_the_next_is_tried(upstream):
    async with serving(make_zone(), [upstream.address]) as server:
        assert (await ask(server, "silent.test")).header.rcode == RCODE.SERVFAIL
    async with serving(make_zone(), [("127.0.0.1", free_port()), upstream.address]) as server:
        assert str((await ask(server, "example.test")).rr[0].rdata) == "192.0.2.1"


async def test_a_long_answer_is_cut_by_udp_and_whole_by_tcp_or_a_large_buffer():
    async with serving(make_zone(60), []) as server:
        short = await ask(server, "db.shop.svc.cluster.local")
        assert short.header.tc and 0 < len(short.rr) < 60 and len(short.pack()) <= 512
        assert len((await ask(server, "db.shop.svc.cluster.local", by=ask_tcp)).rr) == 60
        large = await ask(server, "db.shop.svc.cluster.local", size=4096)
        assert len(large.rr) == 60 and not large.header.tc


async def test_noise_is_survived():
    async with serving(make_zone(), []) as server:
        noise = random.Random(7)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            for _ in range(100):
                client.sendto(noise.randbytes(noise.randrange(1, 60)), server)
        reply = await ask(server, "web.shop.svc.cluster.local")
        assert [str(record.rdata) for record in reply.rr] == ["10.202.0.5"]


def test_resolvers_are_read_again_when_the_file_changes_and_never_include_ourselves(tmp_path):
    path = tmp_path / "resolv.conf"
    servers = HostServers(path, own={"10.201.0.1"})
    assert servers() == []
    path.write_text("nameserver 10.201.0.1\nnameserver 192.0.2.53 # comment\noptions edns0\n")
    assert servers() == [("192.0.2.53", 53)]
    path.write_text("nameserver 192.0.2.54\nnameserver 192.0.2.55\n")
    assert servers() == [("192.0.2.54", 53), ("192.0.2.55", 53)]
    assert read_servers("# nameserver 192.0.2.1\n") == []


async def test_before_the_cluster_was_read_its_names_get_no_answer_and_others_do(upstream):
    zone = make_zone()
    zone.complete = False
    async with serving(zone, [upstream.address]) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await ask(server, "web.shop.svc.cluster.local")
        assert str((await ask(server, "example.test")).rr[0].rdata) == "192.0.2.1"
        zone.complete = True
        assert str((await ask(server, "web.shop.svc.cluster.local")).rr[0].rdata) == "10.202.0.5"


async def test_a_remembered_answer_grows_old_and_is_asked_again_at_its_end(upstream):
    now = [100.0]
    forwarder = Forwarder(lambda: [upstream.address], clock=lambda: now[0])
    ages = []
    for now[0] in (100.0, 130.0, 159.0, 160.5):
        ages.append((await forwarder.resolve(DNSLabel("example.test"), QTYPE.A)).records[0].ttl)
    assert ages == [60, 30, 1, 60]
    assert len(upstream.asked) == 2
