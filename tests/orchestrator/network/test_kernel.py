"""Services in a real kernel: a node, two pods and a client outside, each a network namespace of its own."""

import contextlib
import itertools
import os
import socket
import subprocess
import threading

import pytest

from orchestrator.network.host_ports import host_ports_of, plan_host_ports
from orchestrator.network.nft import Firewall, Ranges, remove_firewall, run_tool, table_name
from orchestrator.network.pods import entered
from orchestrator.network.policy import Pod, plan_policies
from orchestrator.network.services import SERVICE_NAME, plan_rules

RANGES = Ranges("10.201.0.0/16", "10.202.0.0/16", "10.201.0.0/24", "br0")
SERVICE = "10.202.0.5"
PODS = {"a": "10.201.0.2", "b": "10.201.0.3"}
INSTANCE = "nettest"


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, timeout=10)


class World:
    """`inside(name)` puts this thread into the namespace of `node`, `a`, `b` or `client`."""

    def __init__(self):
        self.prefix = f"nt{os.getpid()}"
        self.names = ("node", "client", *PODS)
        self.closing = []

    def build(self):
        for name in self.names:
            ip("netns", "add", self.netns(name))
        ip("-n", self.netns("node"), "link", "add", "br0", "type", "bridge")
        self.at("node", "addr", "add", "10.201.0.1/24", "dev", "br0")
        self.at("node", "link", "set", "lo", "up")
        self.at("node", "link", "set", "br0", "up")
        for name, address in PODS.items():
            self.cable(name, address, "10.201.0.1")
            self.at("node", "link", "set", f"to-{name}", "master", "br0")
            self.at("node", "link", "set", f"to-{name}", "type", "bridge_slave", "hairpin", "on")
        self.cable("client", "10.203.0.2", "10.203.0.1")
        self.at("node", "addr", "add", "10.203.0.1/24", "dev", "to-client")
        self.at("node", "route", "add", RANGES.services, "dev", "br0")
        self.set("node", "net/ipv4/ip_forward")
        self.set("node", "net/ipv4/conf/br0/route_localnet")

    def netns(self, name):
        return f"{self.prefix}-{name}"

    def at(self, name, *arguments):
        ip("-n", self.netns(name), *arguments)

    def set(self, name, setting):
        with self.inside(name), open(f"/proc/sys/{setting}", "w") as file:
            file.write("1")

    def cable(self, name, address, gateway):
        peer = ["peer", "name", "eth0", "netns", self.netns(name)]
        self.at("node", "link", "add", f"to-{name}", "type", "veth", *peer)
        self.at("node", "link", "set", f"to-{name}", "up")
        self.at(name, "addr", "add", f"{address}/24", "dev", "eth0")
        self.at(name, "link", "set", "lo", "up")
        self.at(name, "link", "set", "eth0", "up")
        self.at(name, "route", "add", "default", "via", gateway)

    @contextlib.contextmanager
    def inside(self, name):
        with open(f"/run/netns/{self.netns(name)}", "rb") as file, entered(file.fileno()):
            yield

    def serve(self, name, port=5000):
        """A server in a pod that says the pod's name and the client's address."""
        with self.inside(name):
            server = socket.create_server(("", port))
        self.closing.append(server)

        def run():
            with contextlib.suppress(OSError):
                while True:
                    connection, peer = server.accept()
                    with connection:
                        connection.sendall(f"{name} {peer[0]}".encode())

        threading.Thread(target=run, daemon=True).start()

    def serve_udp(self, name, port=5000):
        with self.inside(name):
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            server.bind(("", port))
        self.closing.append(server)

        def run():
            with contextlib.suppress(OSError):
                while True:
                    server.sendto(name.encode(), server.recvfrom(100)[1])

        threading.Thread(target=run, daemon=True).start()

    def ask(self, name, address=SERVICE, port=80, timeout=3):
        with self.inside(name):
            client = socket.socket()
        with client:
            client.settimeout(timeout)
            client.connect((address, port))
            return client.recv(100).decode()

    def close(self):
        for server in self.closing:
            server.close()
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", self.netns(name)], capture_output=True, timeout=10, check=False)


@pytest.fixture
def world():
    made = World()
    try:
        made.build()
        yield made
    finally:
        made.close()


@pytest.fixture(params=[True, False], ids=["bridge filter on", "bridge filter off"])
def firewall(world, request):
    with world.inside("node"):
        with contextlib.suppress(OSError), open("/proc/sys/net/bridge/bridge-nf-call-iptables", "w") as file:
            file.write("1" if request.param else "0")
        yield Firewall(INSTANCE, RANGES, bridged_replies=request.param)


def service(**spec):
    port = {"port": 80, "protocol": "TCP", **spec.pop("port", {})}
    return {"metadata": {"namespace": "d", "name": "web"}, "spec": {"clusterIP": SERVICE, "ports": [port], **spec}}


def pods(*names, protocol="TCP"):
    return {
        "metadata": {"namespace": "d", "name": "web-x", "labels": {SERVICE_NAME: "web"}},
        "addressType": "IPv4",
        "ports": [{"port": 5000, "protocol": protocol}],
        "endpoints": [{"addresses": [PODS[name]], "conditions": {"ready": True}} for name in names],
    }


async def test_pods_host_and_the_pod_itself_reach_a_service(world, firewall):
    for name in PODS:
        world.serve(name)
    await firewall.apply(plan_rules([service()], [pods("a", "b")]))
    for asker in ("a", "b", "node"):
        assert {world.ask(asker).split()[0] for _ in range(24)} == {"a", "b"}, asker


async def test_a_change_of_endpoints_is_seen_by_the_next_connection(world, firewall):
    for name in PODS:
        world.serve(name)
    for names in itertools.islice(itertools.cycle(["a", "b"]), 6):
        await firewall.apply(plan_rules([service()], [pods(names)]))
        assert world.ask("node").split()[0] == names


async def test_no_endpoints_and_no_service_are_refused_at_once(world, firewall):
    await firewall.apply(plan_rules([service()], []))
    for asker in ("a", "node"):
        for address in (SERVICE, "10.202.99.99"):
            with pytest.raises(ConnectionRefusedError):
                world.ask(asker, address)


async def test_a_client_with_affinity_stays_when_endpoints_come(world, firewall):
    for name in PODS:
        world.serve(name)
    sticky = service(sessionAffinity="ClientIP")
    await firewall.apply(plan_rules([sticky], [pods("b")]))
    assert world.ask("client").split()[0] == "b"
    await firewall.apply(plan_rules([sticky], [pods("a", "b")]))
    assert {world.ask("client").split()[0] for _ in range(16)} == {"b"}


async def test_a_node_port_serves_clients_outside_under_their_own_address(world, firewall):
    world.serve("a")
    await firewall.apply(plan_rules([service(type="NodePort", port={"nodePort": 30080})], [pods("a")]))
    assert world.ask("client", "10.203.0.1", 30080) == "a 10.203.0.2"
    assert world.ask("node", "10.203.0.1", 30080).split()[0] == "a"
    assert world.ask("node", "127.0.0.1", 30080) == "a 10.201.0.1"
    await firewall.apply(plan_rules([service(type="NodePort", port={"nodePort": 30080})], []))
    with pytest.raises(ConnectionRefusedError):
        world.ask("client", "10.203.0.1", 30080)


async def test_pods_do_not_reach_link_local_addresses_beyond_the_host(world, firewall):
    metadata = "169.254.169.254"
    world.at("client", "addr", "add", f"{metadata}/32", "dev", "eth0")
    world.at("node", "route", "add", f"{metadata}/32", "via", "10.203.0.2")
    world.serve("client", 80)
    assert world.ask("a", metadata) == "client 10.201.0.2"
    await firewall.apply(plan_rules([], []))
    with pytest.raises(ConnectionRefusedError):
        world.ask("a", metadata)
    assert world.ask("node", metadata).startswith("client ")


async def test_pods_do_not_reach_what_listens_on_the_hosts_loopback(world, firewall):
    """A pod with the right to change its own routes may send loopback addresses out of its card."""
    world.set("a", "net/ipv4/conf/all/route_localnet")
    for route in ("127.0.0.0/8", "127.0.0.1"):
        world.at("a", "route", "del", "table", "local", "local", route, "dev", "lo")
    world.at("a", "route", "add", "127.0.0.0/8", "via", "10.201.0.1", "dev", "eth0", "src", PODS["a"])
    with world.inside("node"):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with world.inside("a"):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with server, client:
        server.bind(("127.0.0.1", 9000))
        server.settimeout(0.3)
        client.sendto(b"?", ("127.0.0.1", 9000))
        assert server.recv(10) == b"?", "without rules it gets there, so the next line proves something"
        await firewall.apply(plan_rules([], []))
        client.sendto(b"?", ("127.0.0.1", 9000))
        with pytest.raises(TimeoutError):
            server.recv(10)


@pytest.mark.parametrize("place", [(SERVICE, 80), ("10.203.0.1", 31053)], ids=["service address", "node port"])
async def test_udp_follows_when_its_endpoint_goes(world, firewall, place):
    for name in PODS:
        world.serve_udp(name)
    asked = service(port={"protocol": "UDP", "nodePort": 31053}, type="NodePort")
    await firewall.apply(plan_rules([asked], [pods("a", protocol="UDP")]))
    with world.inside("client"):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with client:
        client.settimeout(3)
        client.connect(place)
        client.send(b"?")
        assert client.recv(10) == b"a"
        await firewall.apply(plan_rules([asked], [pods("b", protocol="UDP")]))
        client.send(b"?")
        assert client.recv(10) == b"b"


async def test_rules_that_something_else_removed_come_back(world, firewall):
    world.serve("a")
    rules = plan_rules([service()], [pods("a")])
    await firewall.apply(rules)
    await run_tool(["nft", "flush", "ruleset"])
    await firewall.check()
    await firewall.apply(rules)
    assert world.ask("node").split()[0] == "a"


async def test_removal_leaves_no_table(world, firewall):
    await firewall.apply(plan_rules([service()], [pods("a")]))
    assert remove_firewall(INSTANCE) == [f"nftables table {table_name(INSTANCE)}"]
    assert remove_firewall(INSTANCE) == []


def policy(**spec):
    return {"metadata": {"namespace": "d", "name": "rule"}, "spec": {"podSelector": {}, **spec}}


def pod(name, namespace="d"):
    return Pod(PODS[name], namespace, {"name": name}, ())


def with_policies(*policies):
    rules = plan_rules([service()], [pods("b")])
    plan_policies(rules, policies, [pod("a"), pod("b")], [{"metadata": {"name": "d"}}])
    return rules


def is_cut_off(world, asker, address, port):
    try:
        world.ask(asker, address, port, timeout=0.3)
    except TimeoutError:
        return True
    return False


async def test_a_policy_admits_its_peers_and_the_node_only(world):
    world.set("node", "net/bridge/bridge-nf-call-iptables")
    for name in PODS:
        world.serve(name)
    with world.inside("node"):
        firewall = Firewall(INSTANCE, RANGES, bridged_replies=True)
        await firewall.apply(with_policies(policy(podSelector={"matchLabels": {"name": "b"}})))
        for address, port in ((PODS["b"], 5000), (SERVICE, 80)):
            assert is_cut_off(world, "a", address, port)
            assert is_cut_off(world, "client", address, port)
            assert world.ask("node", address, port)
        assert world.ask("b", PODS["a"], 5000), "the other way stays open"
        assert world.ask("b", SERVICE, 80), "a pod reaches itself"
        peers = [{"podSelector": {"matchLabels": {"name": "a"}}}]
        await firewall.apply(with_policies(policy(ingress=[{"from": peers, "ports": [{"port": 5000}]}])))
        assert world.ask("a", SERVICE, 80)
        assert is_cut_off(world, "client", SERVICE, 80)
        await firewall.apply(with_policies())
        assert world.ask("client", SERVICE, 80)


async def test_an_egress_policy_lets_out_to_its_networks_only(world):
    world.set("node", "net/bridge/bridge-nf-call-iptables")
    world.serve("b")
    world.serve("client")
    with world.inside("node"):
        firewall = Firewall(INSTANCE, RANGES, bridged_replies=True)
        out = {"to": [{"ipBlock": {"cidr": "10.203.0.0/16"}}]}
        await firewall.apply(with_policies(policy(policyTypes=["Egress"], egress=[out])))
        assert world.ask("a", "10.203.0.2", 5000)
        assert is_cut_off(world, "a", PODS["b"], 5000)
        out["to"][0]["ipBlock"]["except"] = ["10.203.0.2/32"]
        await firewall.apply(with_policies(policy(policyTypes=["Egress"], egress=[out])))
        assert is_cut_off(world, "a", "10.203.0.2", 5000)


async def test_a_host_port_leads_to_its_pod_from_everywhere(world, firewall):
    world.serve("a")
    rules = plan_rules([], [])
    asked = [
        {"containerPort": 5000, "hostPort": 7070},
        {"containerPort": 5000, "hostPort": 7071, "hostIP": "127.0.0.1"},
    ]
    plan_host_ports(rules, host_ports_of({"spec": {"containers": [{"ports": asked}]}}, PODS["a"]))
    await firewall.apply(rules)
    assert world.ask("client", "10.203.0.1", 7070) == "a 10.203.0.2", "the client's address is kept"
    for asker, address in (("b", "10.201.0.1"), ("a", "10.201.0.1"), ("node", "127.0.0.1"), ("node", "10.203.0.1")):
        assert world.ask(asker, address, 7070).split()[0] == "a", asker
    assert world.ask("node", "127.0.0.1", 7071).split()[0] == "a"
    with pytest.raises(OSError):
        world.ask("client", "10.203.0.1", 7071)
    await firewall.apply(plan_rules([], []))
    with pytest.raises(OSError):
        world.ask("client", "10.203.0.1", 7070)
