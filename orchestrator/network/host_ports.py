"""Ports of pods on the node's own addresses (`hostPort`): pods → rules. Pure but for the table of what is open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from orchestrator.network.services import PROTOCOLS, Rules, Target, add_chain, is_ipv4
from orchestrator.objects.meta import Obj

ANY = ("", "0.0.0.0", "::")


class HostPort(NamedTuple):
    host_address: str  # empty: every address of the node
    protocol: str  # tcp, udp, sctp
    number: int
    target: Target


def host_ports_of(pod: Obj, address: str) -> tuple[HostPort, ...]:
    """What a pod at `address` asks for; nothing of a pod on the host's network, which listens there itself."""
    spec = pod["spec"]
    if spec.get("hostNetwork"):
        return ()
    found = []
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        for port in container.get("ports") or ():
            host, protocol = port.get("hostIP") or "", PROTOCOLS.get(port.get("protocol") or "TCP")
            if not port.get("hostPort") or protocol is None or not (host in ANY or is_ipv4(host)):
                continue
            target = Target(address, int(port["containerPort"]))
            found.append(HostPort("" if host in ANY else host, protocol, int(port["hostPort"]), target))
    return tuple(found)


class HostPorts:
    """Which host ports lead to which pods now. Of two pods that ask for the same the younger has it."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[HostPort, ...]] = {}
        self.on_change: Callable[[], None] = lambda: None

    def __iter__(self) -> Iterator[HostPort]:
        return (port for ports in list(self._open.values()) for port in ports)

    def open(self, uid: str, ports: tuple[HostPort, ...]) -> None:
        if ports and self._open.get(uid) != ports:
            self._open[uid] = ports
            self.on_change()

    def close(self, uid: str) -> None:
        if self._open.pop(uid, None):
            self.on_change()


def plan_host_ports(rules: Rules, ports: Iterable[HostPort]) -> None:
    """Adds to `rules` what leads from the node's ports to its pods."""
    for port in ports:
        title = f"host/{port.host_address or 'any'}:{port.number}"
        chain = add_chain(rules, title, port.protocol, [port.target], 0)
        if port.host_address:
            rules.services[f"{port.host_address} . {port.protocol} . {port.number}"] = chain
        else:
            rules.node_ports[f"{port.protocol} . {port.number}"] = chain
        if port.protocol == "udp":
            sent_to = f"--orig-dst {port.host_address}" if port.host_address else f"--orig-port-dst {port.number}"
            rules.follow_udp(sent_to, [port.target])
        rules.hairpin.add(f"{port.target.address} . {port.target.address}")
