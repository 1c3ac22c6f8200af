"""Services and EndpointSlices → what the kernel does with their addresses. Pure: objects in, rules out.

Every Service port is one chain that picks an endpoint at random and rewrites the destination; maps lead from addresses
to chains. `nft.py` turns the difference between two `Rules` into one atomic transaction.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from orchestrator.objects.meta import Key, Obj, key_of, labels_of

SERVICE_NAME = "kubernetes.io/service-name"
PROTOCOLS = {"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}
AFFINITY_TIMEOUT = 10800  # seconds, Kubernetes' default
_PLAIN = re.compile(r"[a-zA-Z0-9./:_-]{1,100}")


class Target(NamedTuple):
    address: str
    port: int


class Endpoint(NamedTuple):
    target: Target
    node: str
    ready: bool
    ending: bool
    """Still serves while it terminates: used when no endpoint is ready."""


@dataclass
class Rules:
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    affinity: dict[str, int] = field(default_factory=dict)
    """Sets of clients that stick to an endpoint, and for how many seconds."""
    services: dict[str, str] = field(default_factory=dict)
    """`address . protocol . port` → chain."""
    node_ports: dict[str, str] = field(default_factory=dict)
    """`protocol . port` → chain."""
    refused: set[str] = field(default_factory=set)
    refused_node_ports: set[str] = field(default_factory=set)
    hairpin: set[str] = field(default_factory=set)
    """`pod . pod`: a pod that reaches itself through a Service must see another source address."""
    isolated_in: dict[str, str] = field(default_factory=dict)
    """Pod address → the chain of what may reach it; pods without one are open."""
    isolated_out: dict[str, str] = field(default_factory=dict)
    udp: dict[str, frozenset[str]] = field(default_factory=dict)
    """conntrack's words for where packets of UDP Services are sent → the endpoints they reach: connections to lost
    endpoints have to be forgotten.
    """

    def follow_udp(self, sent_to: str, targets: Iterable[Target]) -> None:
        self.udp[sent_to] = self.udp.get(sent_to, frozenset()) | {target.address for target in targets}


def plan_rules(
    services: Iterable[Obj],
    slices: Iterable[Obj],
    *,
    node_name: str = "",
) -> Rules:
    """What the kernel of node `node_name` is to do."""
    rules = Rules()
    by_service = group_slices(slices)
    for service in services:
        spec = service.get("spec") or {}
        if spec.get("type") == "ExternalName":
            continue
        owned = by_service.get(key_of(service), ())
        for port in spec.get("ports") or ():
            if protocol := PROTOCOLS.get(port.get("protocol") or "TCP"):
                endpoints = endpoints_of(owned, port.get("name") or "", port.get("protocol") or "TCP")
                _add_port(rules, service, port, protocol, endpoints, node_name)
    return rules


def render_api_slice(address: str, port: int) -> Obj:
    """Endpoints of `kubernetes.default` for a server that listens on loopback and so publishes none of its own."""
    return {
        "metadata": {"namespace": "default", "name": "kubernetes", "labels": {SERVICE_NAME: "kubernetes"}},
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }


def group_slices(slices: Iterable[Obj]) -> dict[Key, list[Obj]]:
    groups: dict[Key, list[Obj]] = {}
    for piece in slices:
        if name := labels_of(piece).get(SERVICE_NAME):
            groups.setdefault(Key(key_of(piece).namespace, name), []).append(piece)
    return groups


def endpoints_of(slices: Iterable[Obj], port_name: str, protocol: str) -> list[Endpoint]:
    """Every endpoint of one port, in the order of its address; one that is in two slices counts once."""
    found: dict[Target, Endpoint] = {}
    for piece in slices:
        if piece.get("addressType", "IPv4") != "IPv4":
            continue
        number = next(
            (
                port.get("port")
                for port in piece.get("ports") or ()
                if (port.get("name") or "") == port_name and (port.get("protocol") or "TCP") == protocol
            ),
            None,
        )
        for each in piece.get("endpoints") or () if number else ():
            conditions = each.get("conditions") or {}
            terminating = bool(conditions.get("terminating"))
            ready = conditions.get("ready") is not False and not terminating
            ending = terminating and bool(conditions.get("serving"))
            for address in each.get("addresses") or ():
                if is_ipv4(address) and (ready or ending):
                    target = Target(address, int(number or 0))
                    found[target] = Endpoint(target, each.get("nodeName") or "", ready, ending)
    return [found[target] for target in sorted(found)]


def usable(endpoints: Sequence[Endpoint]) -> list[Target]:
    """The ready ones; when there is none, those that still serve while they terminate.

    Source: kubernetes pkg/proxy/topology.go, CategorizeEndpoints.
    """
    ready = [each.target for each in endpoints if each.ready]
    return ready or [each.target for each in endpoints if each.ending]


def is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _add_port(
    rules: Rules, service: Obj, port: Mapping[str, Any], protocol: str, endpoints: list[Endpoint], node_name: str
) -> None:
    spec, number = service["spec"], int(port["port"])
    title = f"{key_of(service)}:{port.get('name') or number}"
    local = [each for each in endpoints if each.node == node_name]
    inside = usable(local if spec.get("internalTrafficPolicy") == "Local" else endpoints)
    outside = usable(local if spec.get("externalTrafficPolicy") == "Local" else endpoints)
    affinity = _affinity_of(spec)

    addresses = [ip for ip in spec.get("clusterIPs") or [spec.get("clusterIP")] if ip and is_ipv4(ip)]
    chain = add_chain(rules, f"{title}/in", protocol, inside, affinity)
    for address in addresses:
        _lead(rules, f"{address} . {protocol} . {number}", chain)

    if outside == inside:
        outer = chain
    else:
        outer = add_chain(rules, f"{title}/out", protocol, outside, affinity)
    for address in spec.get("externalIPs") or ():
        if is_ipv4(address):
            _lead(rules, f"{address} . {protocol} . {number}", outer)
    balanced = [entry.get("ip") for entry in _ingress(service) if entry.get("ip") and is_ipv4(entry["ip"])]
    if balanced:
        gate = _add_gate(rules, f"{title}/lb", spec.get("loadBalancerSourceRanges") or (), outer)
        for address in balanced:
            _lead(rules, f"{address} . {protocol} . {number}", gate)
    if node_port := port.get("nodePort"):
        key = f"{protocol} . {int(node_port)}"
        if outer:
            rules.node_ports[key] = outer
        else:
            rules.refused_node_ports.add(key)
    rules.hairpin |= {f"{target.address} . {target.address}" for target in inside + outside}
    if protocol == "udp":
        for address in addresses:
            rules.follow_udp(f"--orig-dst {address}", inside)
        for address in (*(spec.get("externalIPs") or ()), *balanced):
            rules.follow_udp(f"--orig-dst {address}", outside)
        if node_port:
            rules.follow_udp(f"--orig-port-dst {int(node_port)}", outside)


def _ingress(service: Obj) -> list[dict[str, Any]]:
    if service["spec"].get("type") != "LoadBalancer":
        return []
    return ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []


def _affinity_of(spec: Mapping[str, Any]) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(config.get("timeoutSeconds") or AFFINITY_TIMEOUT)


def _lead(rules: Rules, key: str, chain: str) -> None:
    if chain:
        rules.services[key] = chain
        rules.refused.discard(key)
    elif key not in rules.services:
        rules.refused.add(key)


def _name(prefix: str, text: str) -> str:
    return f"{prefix}-{hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:16]}"


def add_chain(rules: Rules, title: str, protocol: str, targets: Sequence[Target], affinity: int) -> str:
    """The chain that picks one of `targets`; empty when there is none."""
    if not targets:
        return ""
    name = _name("svc", f"{title}/{protocol}")
    comment = f' comment "{title}"' if _PLAIN.fullmatch(title) else ""
    if affinity:
        rules.chains[name] = _sticky(rules, name, protocol, targets, affinity, comment)
    elif len(targets) == 1:
        rules.chains[name] = (f"meta l4proto {protocol} dnat to {targets[0].address}:{targets[0].port}{comment}",)
    else:
        choices = ", ".join(f"{i} : {target.address} . {target.port}" for i, target in enumerate(targets))
        pick = f"numgen random mod {len(targets)} map {{ {choices} }}"
        rules.chains[name] = (f"meta l4proto {protocol} dnat ip to {pick}{comment}",)
    return name


def _sticky(
    rules: Rules, name: str, protocol: str, targets: Sequence[Target], timeout: int, comment: str
) -> tuple[str, ...]:
    """A chain per endpoint, which remembers its clients; a client that is remembered goes there first."""
    known, choices = [], []
    for index, target in enumerate(targets):
        end = _name("end", f"{name}/{target.address}:{target.port}")
        clients = _name("stick", f"{name}/{target.address}:{target.port}")
        rules.affinity[clients] = timeout
        rules.chains[end] = (
            f"update @{clients} {{ ip saddr timeout {timeout}s }}",
            f"meta l4proto {protocol} dnat to {target.address}:{target.port}",
        )
        known.append(f"ip saddr @{clients} goto {end}")
        choices.append(f"{index} : goto {end}")
    return (*known, f"numgen random mod {len(targets)} vmap {{ {', '.join(choices)} }}{comment}")


def _add_gate(rules: Rules, title: str, ranges: Sequence[str], chain: str) -> str:
    """`chain` for clients of `ranges` alone."""
    networks = []
    for text in ranges:
        try:
            networks.append(str(ipaddress.IPv4Network(str(text).strip(), strict=False)))
        except ValueError:
            continue
    if not ranges or not chain:
        return chain
    name = _name("gate", title)
    merged = [str(each) for each in ipaddress.collapse_addresses(ipaddress.IPv4Network(each) for each in networks)]
    allowed = f"ip saddr {{ {', '.join(merged)} }} goto {chain}"
    rules.chains[name] = (allowed, "drop") if merged else ("drop",)
    return name
