"""NetworkPolicies → which pods may talk to which. Pure: objects in, rules out.

A pod that a policy selects gets a chain per direction, shared by all pods of the same rights: a line for everything
that is allowed, and a drop at its end. Chains are named after their content, so they never change: a pod is led to
another one. What the node itself sends (probes, the router) is never filtered, as in Kubernetes.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from orchestrator.network.services import PROTOCOLS, Rules
from orchestrator.objects.meta import Obj, labels_of
from orchestrator.objects.selectors import label_selector_from_object

FINISHED = ("Succeeded", "Failed")


class Pod(NamedTuple):
    address: str
    namespace: str
    labels: Mapping[str, str]
    ports: tuple[tuple[str, str, int], ...]
    """Named ports: (name, protocol, number)."""


def slim_pod(obj: Obj) -> Obj:
    """What policies need of a pod: a cluster's pods are many."""
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    kept = {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion", "labels") if key in meta}
    containers = [{"ports": each["ports"]} for each in spec.get("containers") or () if each.get("ports")]
    return {
        "metadata": kept,
        "spec": {"hostNetwork": bool(spec.get("hostNetwork")), "containers": containers},
        "status": {"podIP": status.get("podIP") or "", "phase": status.get("phase") or ""},
    }


def read_pods(objects: Iterable[Obj]) -> list[Pod]:
    """Pods with an address of their own."""
    pods = []
    for obj in objects:
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        if spec.get("hostNetwork") or status.get("phase") in FINISHED:
            continue
        try:
            address = str(ipaddress.IPv4Address(status.get("podIP") or ""))
        except ValueError:
            continue
        ports = tuple(
            (port["name"], port.get("protocol") or "TCP", int(port["containerPort"]))
            for container in spec.get("containers") or ()
            for port in container.get("ports") or ()
            if port.get("name")
        )
        pods.append(Pod(address, obj["metadata"].get("namespace") or "", labels_of(obj), ports))
    return sorted(pods, key=lambda pod: ipaddress.IPv4Address(pod.address))


def plan_policies(rules: Rules, policies: Sequence[Obj], pods: Sequence[Pod], namespaces: Iterable[Obj]) -> None:
    """Adds to `rules` what the policies ask for."""
    world = World(pods, {obj["metadata"]["name"]: labels_of(obj) for obj in namespaces})
    for direction, isolated in (("Ingress", rules.isolated_in), ("Egress", rules.isolated_out)):
        known: dict[tuple[Any, ...], str] = {}
        asked = [(policy, world.select_pods(policy)) for policy in policies if direction in directions_of(policy)]
        for pod in pods:
            mine = [index for index, (_, selected) in enumerate(asked) if pod.address in selected]
            if not mine:
                continue
            # Named ports are the pod's own: only pods that name them alike share a chain.
            group = (*mine, pod.ports)
            if group not in known:
                lines = [line for index in mine for line in allowed_lines(asked[index][0], direction, pod, world)]
                known[group] = _add_chain(rules, lines)
            isolated[pod.address] = known[group]


def _add_chain(rules: Rules, lines: Iterable[str]) -> str:
    body = (*dict.fromkeys(lines), "drop")
    name = f"pol-{hashlib.sha1(repr(body).encode(), usedforsecurity=False).hexdigest()[:16]}"
    rules.chains[name] = body
    return name


def directions_of(policy: Obj) -> list[str]:
    spec = policy.get("spec") or {}
    return spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])


class World:
    def __init__(self, pods: Sequence[Pod], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        self.pods, self._namespaces = pods, namespaces

    def select_pods(self, policy: Obj) -> set[str]:
        """The addresses of the pods that the policy is about."""
        selector = label_selector_from_object((policy.get("spec") or {}).get("podSelector") or {})
        namespace = policy["metadata"].get("namespace")
        return {pod.address for pod in self.pods if pod.namespace == namespace and selector.matches(pod.labels)}

    def peers_of(self, peer: Mapping[str, Any], own: str) -> list[Pod]:
        """The pods a peer names; without a namespace selector those of the policy's own namespace."""
        chosen = {own}
        if peer.get("namespaceSelector") is not None:
            among = label_selector_from_object(peer["namespaceSelector"])
            chosen = {name for name, labels in self._namespaces.items() if among.matches(labels)}
        selector = label_selector_from_object(peer.get("podSelector") or {})
        return [pod for pod in self.pods if pod.namespace in chosen and selector.matches(pod.labels)]


def allowed_lines(policy: Obj, direction: str, pod: Pod, world: World) -> list[str]:
    """What one policy allows one pod in one direction."""
    spec = policy.get("spec") or {}
    own = policy["metadata"].get("namespace") or ""
    incoming = direction == "Ingress"
    lines = []
    for rule in spec.get("ingress" if incoming else "egress") or ():
        peers = rule.get("from" if incoming else "to") or ()
        ports = rule.get("ports") or ()
        selected = [each for peer in peers if not peer.get("ipBlock") for each in world.peers_of(peer, own)]
        addresses = render_peers(peers, selected, "saddr" if incoming else "daddr")
        if incoming:
            wanted = [text for port in ports for text in render_port(port, [pod])] if ports else [""]
        else:
            wanted = (
                [text for port in ports if not _is_named(port) for text in render_port(port, ())] if ports else [""]
            )
            lines += _named_egress([port for port in ports if _is_named(port)], selected if peers else world.pods)
        lines += [" ".join(filter(None, (address, port, "return"))) for address in addresses for port in wanted]
    return lines


def render_peers(peers: Iterable[Mapping[str, Any]], selected: Iterable[Pod], field: str) -> list[str]:
    """Matches of the other side's address; an empty one matches all."""
    if not peers:
        return [""]
    matches = []
    listed = list(dict.fromkeys(pod.address for pod in selected))
    if listed:
        matches.append(f"ip {field} {{ {', '.join(listed)} }}")
    for peer in peers:
        if block := peer.get("ipBlock"):
            try:
                network = ipaddress.IPv4Network(block["cidr"], strict=False)
                spared = [str(ipaddress.IPv4Network(each, strict=False)) for each in block.get("except") or ()]
            except ValueError:
                continue  # of the other address family
            match = f"ip {field} {network}"
            matches.append(f"{match} ip {field} != {{ {', '.join(spared)} }}" if spared else match)
    return matches


def _is_named(port: Mapping[str, Any]) -> bool:
    return isinstance(port.get("port"), str) and not port["port"].isdigit()


def render_port(port: Mapping[str, Any], pods: Iterable[Pod]) -> list[str]:
    """Matches of the destination port; a name is looked up in `pods`."""
    wanted = port.get("protocol") or "TCP"
    protocol = PROTOCOLS.get(wanted)
    number = port.get("port")
    if protocol is None:
        return []
    if number is None:
        return [f"meta l4proto {protocol}"]
    if _is_named(port):
        found = {each[2] for pod in pods for each in pod.ports if each[:2] == (number, wanted)}
        return [f"{protocol} dport {each}" for each in sorted(found)]
    last = port.get("endPort")
    return [f"{protocol} dport {int(number)}-{int(last)}" if last else f"{protocol} dport {int(number)}"]


def _named_egress(ports: Iterable[Mapping[str, Any]], pods: Iterable[Pod]) -> list[str]:
    """On the way out a port's name means each destination's own number."""
    lines = []
    for port in ports:
        wanted = port.get("protocol") or "TCP"
        if protocol := PROTOCOLS.get(wanted):
            pairs = [
                f"{pod.address} . {each[2]}" for pod in pods for each in pod.ports if each[:2] == (port["port"], wanted)
            ]
            if pairs:
                lines.append(f"ip daddr . {protocol} dport {{ {', '.join(dict.fromkeys(pairs))} }} return")
    return lines
