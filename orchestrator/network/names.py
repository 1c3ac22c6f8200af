"""The names of a cluster's Services and pods: Services and EndpointSlices → DNS records.

Source: Kubernetes' DNS-Based Service Discovery specification, version 1.1.0.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from orchestrator.network.services import SERVICE_NAME
from orchestrator.objects.meta import Key, Obj, key_of, labels_of

SPECIFICATION = "1.1.0"


class Service(NamedTuple):
    """What names need of a Service."""

    key: Key
    addresses: tuple[str, ...]
    headless: bool
    external: str
    ports: tuple[tuple[str, str, int], ...]
    """(name, protocol in lower case, number)"""


class Host(NamedTuple):
    """One address of an endpoint, and the label it goes by below its Service."""

    label: str
    address: str
    ready: bool


class Answer(NamedTuple):
    """`records` are (owner, type, value); no records and `exists`: the name has none of the asked type."""

    records: list[tuple[str, str, Any]]
    exists: bool
    alias: str = ""
    """Outside the cluster: look this name up too."""


ABSENT, EMPTY = Answer([], False), Answer([], True)


def read_service(obj: Obj) -> Service:
    spec = obj.get("spec") or {}
    listed = spec.get("clusterIPs") or [spec.get("clusterIP") or ""]
    ports = tuple(
        (port.get("name") or "", (port.get("protocol") or "TCP").lower(), int(port["port"]))
        for port in spec.get("ports") or ()
    )
    external = (spec.get("externalName") or "").rstrip(".") if spec.get("type") == "ExternalName" else ""
    addresses = tuple(address for address in listed if _version(address))
    return Service(key_of(obj), addresses, not addresses and not external, external, ports)


def read_hosts(piece: Obj) -> Iterator[Host]:
    for endpoint in piece.get("endpoints") or ():
        conditions = endpoint.get("conditions") or {}
        for address in endpoint.get("addresses") or ():
            if _version(address):
                label = endpoint.get("hostname") or address.replace(".", "-").replace(":", "-")
                yield Host(label.lower(), address, conditions.get("ready") is not False)


def _version(address: str) -> int:
    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return 0


def reverse_name(address: str) -> str:
    return ipaddress.ip_address(address).reverse_pointer


class Zone:
    """Everything below the cluster's domain, and the reverse of it; kept by telling it of every change."""

    def __init__(self, domain: str, ranges: Iterable[str] = ()) -> None:
        self.domain = domain.lower().strip(".")
        self.complete = True
        """False while the cluster is still being read: a name that is not here yet may exist."""
        self._networks = [ipaddress.ip_network(text) for text in ranges]
        self._services: dict[Key, Service] = {}
        self._slices: dict[Key, dict[Key, tuple[Host, ...]]] = {}
        self._slice_ports: dict[Key, dict[Key, tuple[tuple[str, str, int], ...]]] = {}
        self._namespaces: set[str] = set()
        self._reverse: dict[str, dict[str, None]] = {}

    # changes

    def change_namespace(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None:
            self._namespaces.discard(old["metadata"]["name"])
        if new is not None:
            self._namespaces.add(new["metadata"]["name"])

    def change_service(self, old: Obj | None, new: Obj | None) -> None:
        for obj, step in ((old, -1), (new, 1)):
            if obj is None:
                continue
            service = read_service(obj)
            for address in service.addresses:
                self._point(address, self.name_of(service.key), step > 0)
            if step > 0:
                self._services[service.key] = service
            else:
                self._services.pop(service.key, None)

    def change_slice(self, old: Obj | None, new: Obj | None) -> None:
        for obj, present in ((old, False), (new, True)):
            if obj is None or not (name := labels_of(obj).get(SERVICE_NAME)):
                continue
            key = key_of(obj)
            owner = Key(key.namespace, name)
            hosts = tuple(read_hosts(obj))
            named = {each.get("hostname") for each in obj.get("endpoints") or ()}
            for host in hosts:
                if host.label in named:
                    self._point(host.address, f"{host.label}.{self.name_of(owner)}", present)
            if present:
                self._slices.setdefault(owner, {})[key] = hosts
                self._slice_ports.setdefault(owner, {})[key] = _ports_of(obj)
            else:
                for table in (self._slices, self._slice_ports):
                    pieces: dict[Key, Any] = table.get(owner, {})
                    pieces.pop(key, None)
                    if not pieces:
                        table.pop(owner, None)

    def _point(self, address: str, name: str, present: bool) -> None:
        if present:
            self._reverse.setdefault(reverse_name(address), {})[name] = None
        elif (names := self._reverse.get(reverse_name(address))) is not None:
            names.pop(name, None)
            if not names:
                del self._reverse[reverse_name(address)]

    # questions

    def name_of(self, key: Key) -> str:
        return f"{key.name}.{key.namespace}.svc.{self.domain}"

    def is_ours(self, name: str) -> bool:
        if name == self.domain or name.endswith("." + self.domain):
            return True
        if name in self._reverse:
            return True
        return (address := _forward(name)) is not None and any(
            address.version == network.version and address in network for network in self._networks
        )

    def answer(self, name: str, kind: str) -> Answer:
        """`name` in lower case without its last dot, one of ours."""
        if not (name == self.domain or name.endswith("." + self.domain)):
            targets = self._reverse.get(name)
            if not targets:
                return ABSENT
            return Answer([(name, "PTR", each) for each in targets] if kind in ("PTR", "ANY") else [], True)
        labels = name[: -len(self.domain)].rstrip(".").split(".") if name != self.domain else []
        match labels:
            case []:
                return EMPTY
            case ["dns-version"]:
                return Answer([(name, "TXT", SPECIFICATION)] if kind == "TXT" else [], True)
            case ["svc"] | ["pod"]:
                return EMPTY
            case [namespace, "svc" | "pod"]:
                return EMPTY if namespace in self._namespaces else ABSENT
            case [dashed, namespace, "pod"]:
                return self._pod(name, dashed, namespace, kind)
            case [*below, service, namespace, "svc"]:
                found = self._services.get(Key(namespace, service))
                return self._below(name, found, below, kind) if found else ABSENT
        return ABSENT

    def _pod(self, name: str, dashed: str, namespace: str, kind: str) -> Answer:
        address = dashed.replace("-", ".")
        if namespace not in self._namespaces or _version(address) != 4:
            return ABSENT
        return Answer([(name, "A", address)] if kind in ("A", "ANY") else [], True)

    def _below(self, name: str, service: Service, below: list[str], kind: str) -> Answer:
        if service.external:
            if below:
                return ABSENT
            return Answer(
                [(name, "CNAME", service.external)], True, "" if kind == "CNAME" else service.external.lower()
            )
        match below:
            case []:
                return self._whole(name, service, kind)
            case [port, protocol] if port.startswith("_") and protocol.startswith("_"):
                records = self._srv(name, service, port[1:], protocol[1:])
                if not records:
                    return ABSENT
                return Answer(records if kind in ("SRV", "ANY") else [], True)
            case [label]:
                hosts = [host for host in self._hosts(service) if host.label == label]
                if not hosts:
                    return ABSENT
                return Answer(_addresses(name, (host.address for host in hosts), kind), True)
        return ABSENT

    def _whole(self, name: str, service: Service, kind: str) -> Answer:
        if kind == "SRV":
            return Answer(self._srv(name, service, "", ""), True)
        if not service.headless:
            return Answer(_addresses(name, service.addresses, kind), True)
        hosts = self._hosts(service)
        # As CoreDNS: a headless Service without endpoints is no name at all.
        return Answer(_addresses(name, (host.address for host in hosts), kind), True) if hosts else ABSENT

    def _hosts(self, service: Service) -> list[Host]:
        pieces = self._slices.get(service.key, {})
        return list(dict.fromkeys(host for piece in pieces.values() for host in piece if host.ready))

    def _srv(self, owner: str, service: Service, port: str, protocol: str) -> list[tuple[str, str, Any]]:
        """SRV records, each with the address of its target; empty `port`: all named ports."""
        records: list[tuple[str, str, Any]] = []
        base = self.name_of(service.key)
        pieces = self._slice_ports.get(service.key, {})
        ports = {each for piece in pieces.values() for each in piece} if service.headless else set(service.ports)
        chosen = [each for each in sorted(ports) if (not port or each[0] == port) and protocol in ("", each[1])]
        for _, _, number in chosen:
            if service.headless:
                records += [(owner, "SRV", (number, f"{host.label}.{base}")) for host in self._hosts(service)]
            else:
                records.append((owner, "SRV", (number, base)))
        return records

    def additional(self, records: Iterable[tuple[str, str, Any]]) -> list[tuple[str, str, Any]]:
        """The addresses that SRV records lead to."""
        found: list[tuple[str, str, Any]] = []
        for target in dict.fromkeys(value[1] for _, kind, value in records if kind == "SRV"):
            for kind in ("A", "AAAA"):
                found += self.answer(target, kind).records
        return found


def _ports_of(piece: Mapping[str, Any]) -> tuple[tuple[str, str, int], ...]:
    return tuple(
        (port.get("name") or "", (port.get("protocol") or "TCP").lower(), int(port["port"]))
        for port in piece.get("ports") or ()
        if port.get("port")
    )


def _addresses(name: str, addresses: Iterable[str], kind: str) -> list[tuple[str, str, Any]]:
    records = [(name, "A" if _version(each) == 4 else "AAAA", each) for each in dict.fromkeys(addresses)]
    return [record for record in records if kind in (record[1], "ANY")]


def _forward(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a reverse name is of."""
    if name.endswith(".in-addr.arpa"):
        try:
            return ipaddress.IPv4Address(".".join(reversed(name.removesuffix(".in-addr.arpa").split("."))))
        except ValueError:
            return None
    if name.endswith(".ip6.arpa"):
        digits = "".join(reversed(name.removesuffix(".ip6.arpa").split(".")))
        try:
            return ipaddress.IPv6Address(int(digits, 16)) if len(digits) == 32 else None
        except ValueError:
            return None
    return None
