"""The node's pod network: one bridge per instance, and a veth pair with an address for every sandbox.

The engine makes sandboxes without a network (`network=none`), which is the cheapest; this module gives them their
card. Addresses come from the node's own range: .1 is the bridge (gateway, and where the node's DNS listens), pods
take the rest in turn, so that an address is reused as late as possible.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import hashlib
import ipaddress
import os
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from orchestrator.network.addresses import AddressPool, PodNetworkError, gateway_of

CLONE_NEWNET = 0x40000000
INTERFACE_NAME_LENGTH = 15
COMMAND_DEADLINE = 20.0  # seconds; iptables waits for its lock
_libc = ctypes.CDLL(None, use_errno=True)


def bridge_name(instance: str) -> str:
    """The bridge of an instance: readable while the instance's name fits into an interface name."""
    name = f"pod-{instance}"
    return name if len(name) <= INTERFACE_NAME_LENGTH else f"pod-{_digest(instance, 8)}"


def veth_name(instance: str, address: str) -> str:
    """The host's end of the pair of a pod: unique per instance and address on this host."""
    return f"pv{_digest(instance, 5)}{int(ipaddress.IPv4Address(address)):08x}"


def chain_name(instance: str, purpose: str) -> str:
    """An iptables chain (at most 28 characters) of this instance alone."""
    return f"PODS-{purpose}-{_digest(instance, 8)}"


def _digest(text: str, length: int) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:length]


def render_firewall(
    instance: str, bridge: str, node_cidr: str, cluster_cidr: str
) -> list[tuple[str, str, str, list[list[str]]]]:
    """(table, built-in chain, own chain, rules of the own chain): forwarding accepted, the way out masqueraded.

    Traffic inside the cluster's range keeps its addresses.
    """
    return [
        (
            "filter",
            "FORWARD",
            chain_name(instance, "FORWARD"),
            [
                ["-i", bridge, "-j", "ACCEPT"],
                ["-o", bridge, "-j", "ACCEPT"],
            ],
        ),
        (
            "nat",
            "POSTROUTING",
            chain_name(instance, "MASQ"),
            [["-s", node_cidr, "!", "-d", cluster_cidr, "!", "-o", bridge, "-j", "MASQUERADE"]],
        ),
    ]


class PodNetwork:
    """The bridge and the pods on it. All netlink work happens on one thread: entering a namespace is per thread."""

    def __init__(self, *, instance: str, node_cidr: str, cluster_cidr: str, mtu: int = 0) -> None:
        self.instance, self.node_cidr, self.cluster_cidr = instance, node_cidr, cluster_cidr
        self.bridge = bridge_name(instance)
        self.gateway = gateway_of(node_cidr)
        self.addresses = AddressPool(node_cidr)
        self.mtu = mtu
        self._prefix = ipaddress.IPv4Network(node_cidr).prefixlen
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pod-network")
        self._route: IPRoute | None = None
        self._bridge_index = 0

    async def set_up(self) -> None:
        """Makes the bridge and the firewall rules; safe to run again. Raises: PodNetworkError."""
        await self._run(self._set_up)

    async def attach(self, pid: int, address: str) -> None:
        """Gives the network namespace of `pid` a card with `address` on the bridge."""
        await self._run(self._attach, pid, address)

    def close(self) -> None:
        self._thread.shutdown(wait=False)

    async def _run(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _set_up(self) -> None:
        route = self._open()
        self.mtu = self.mtu or smallest_mtu(route)
        found = route.link_lookup(ifname=self.bridge)
        if not found:
            # A fixed hardware address: a bridge otherwise takes its lowest port's, and changes it as pods come and go.
            mac = "0a:58:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(self.gateway).packed)
            route.link("add", ifname=self.bridge, kind="bridge", address=mac)
            found = route.link_lookup(ifname=self.bridge)
        self._bridge_index = found[0]
        route.link("set", index=self._bridge_index, state="up", mtu=self.mtu)
        try:
            route.addr("add", index=self._bridge_index, address=self.gateway, prefixlen=self._prefix)
        except NetlinkError as exc:
            if exc.code != errno.EEXIST:
                raise PodNetworkError(f"can't give {self.gateway} to {self.bridge}: {exc}") from exc
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        self._set_up_firewall()

    def _set_up_firewall(self) -> None:
        for table, hook, chain, rules in render_firewall(self.instance, self.bridge, self.node_cidr, self.cluster_cidr):
            run_iptables(["-t", table, "-N", chain], may_fail=True)
            for rule in rules:
                if not run_iptables(["-t", table, "-C", chain, *rule], may_fail=True):
                    run_iptables(["-t", table, "-A", chain, *rule])
            if not run_iptables(["-t", table, "-C", hook, "-j", chain], may_fail=True):
                run_iptables(["-t", table, "-A", hook, "-j", chain])

    def _attach(self, pid: int, address: str) -> None:
        route, name = self._open(), veth_name(self.instance, address)
        for stale in route.link_lookup(ifname=name):
            route.link("del", index=stale)
        try:
            with open(f"/proc/{pid}/ns/net", "rb") as namespace:
                handle = namespace.fileno()
                peer = {"ifname": "eth0", "net_ns_fd": handle, "mtu": self.mtu}
                route.link("add", ifname=name, kind="veth", peer=peer, mtu=self.mtu)
                index = route.link_lookup(ifname=name)[0]
                route.link("set", index=index, master=self._bridge_index, state="up")
                route.brport("set", index=index, mode=1)  # hairpin: a pod may reach itself through a Service
                with entered(handle):
                    inside = IPRoute()
            with inside:
                card = inside.link_lookup(ifname="eth0")[0]
                inside.link("set", index=1, state="up")
                inside.addr("add", index=card, address=address, prefixlen=self._prefix)
                inside.link("set", index=card, state="up")
                inside.route("add", dst="default", gateway=self.gateway)
        except (NetlinkError, OSError, IndexError) as exc:
            raise PodNetworkError(f"can't attach {address} to process {pid}: {exc}") from exc

    def _open(self) -> IPRoute:
        if self._route is None:
            self._route = IPRoute()
        return self._route


@contextmanager
def entered(namespace: int) -> Iterator[None]:
    """This thread inside the network namespace `namespace` (a file descriptor); out again at the end."""
    with open("/proc/thread-self/ns/net", "rb") as own:
        _set_namespace(namespace)
        try:
            yield
        finally:
            _set_namespace(own.fileno())


def _set_namespace(handle: int) -> None:
    if _libc.setns(handle, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise PodNetworkError(f"can't enter a network namespace: {os.strerror(code)}")


def smallest_mtu(route: IPRoute) -> int:
    """The smallest MTU of the host's real cards that are up; 1500 when there is none."""
    sizes = []
    for link in route.get_links():
        kind = (link.get_attr("IFLA_LINKINFO") or {}).get("attrs", ())
        virtual = any(name == "IFLA_INFO_KIND" and value in ("bridge", "veth", "dummy", "ifb") for name, value in kind)
        if not virtual and link.get_attr("IFLA_OPERSTATE") == "UP" and (mtu := link.get_attr("IFLA_MTU")):
            sizes.append(int(mtu))
    return min([1500, *sizes])


def run_iptables(arguments: Sequence[str], *, may_fail: bool = False) -> bool:
    """True when iptables succeeded. Raises: PodNetworkError unless `may_fail`."""
    command = ["iptables", "-w", "10", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_DEADLINE, check=False)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise PodNetworkError(f"can't run iptables: {exc}; is the iptables package installed?") from exc
    if done.returncode and not may_fail:
        raise PodNetworkError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.returncode == 0


def _delete_link(route: IPRoute, index: int) -> None:
    """One that went with its namespace meanwhile is fine."""
    try:
        route.link("del", index=index)
    except NetlinkError as exc:
        if exc.code not in (errno.ENODEV, errno.ENOENT):
            raise PodNetworkError(f"can't remove link {index}: {exc}") from exc


def remove_pod_network(instance: str) -> list[str]:
    """Removes the bridge, its pairs and the chains of an instance; returns what it removed."""
    removed = []
    with IPRoute() as route:
        for index in route.link_lookup(ifname=bridge_name(instance)):
            for link in (*route.link_lookup(master=index), index):
                _delete_link(route, link)
            removed.append(f"bridge {bridge_name(instance)}")
    for table, hook, chain, _ in render_firewall(instance, "-", "0.0.0.0/0", "0.0.0.0/0"):
        if run_iptables(["-t", table, "-S", chain], may_fail=True):
            while run_iptables(["-t", table, "-D", hook, "-j", chain], may_fail=True):
                continue
            run_iptables(["-t", table, "-F", chain])
            run_iptables(["-t", table, "-X", chain])
            removed.append(f"iptables chain {chain}")
    return removed
