"""Kubernetes objects → the routes nginx serves, as one flat table of short strings.

A flat table makes the difference between two of them, which is all that travels to nginx, a comparison of two
dictionaries. Its keys, and what the Lua side (`lua/routes.lua`, `lua/certificates.lua`) finds under each:

    host:<name>             the key of a route: `<namespace>/<service>` or `static/<host>`; <name> may be `*.<domain>`
    route:<key>             JSON: app, maintenance, whitelist, ssl_enforce, locations, platform
    peers:<key>             JSON: [[address, port], …] of the endpoints that may get requests
    cert:<name>             the key of a certificate: `<namespace>/<secret>`
    pem:<key>               JSON: certificate chain and private key
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from router.settings import Address

Obj = Mapping[str, Any]
Entries = dict[str, str]
T = TypeVar("T")

PREFIX = "router.deis.io/"
ROUTABLE = PREFIX + "routable"
SERVICE_NAME = "kubernetes.io/service-name"
HOST = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)


class Table(NamedTuple):
    entries: Entries
    problems: list[str]
    """What was asked for and cannot be served, a sentence each."""


class Memo:
    """What was made of the same objects before: a change of one app costs that app's rendering only."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[tuple[Obj, ...], Any]] = {}
        self._used: set[str] = set()

    def made(self, key: str, inputs: Sequence[Obj], make: Callable[[], T]) -> T:
        """`make()`, unless it was called for these very objects (which nobody changes) the last time."""
        self._used.add(key)
        held = self._held.get(key)
        if held is None or len(held[0]) != len(inputs) or any(a is not b for a, b in zip(held[0], inputs, strict=True)):
            held = self._held[key] = (tuple(inputs), make())
        made: T = held[1]
        return made

    def forget_unused(self) -> None:
        """Call after each round: what it did not ask for is gone."""
        self._held = {key: held for key, held in self._held.items() if key in self._used}
        self._used.clear()


def build_table(
    services: Iterable[Obj],
    slices: Iterable[Obj],
    secrets: Iterable[Obj],
    *,
    domain: str,
    static: Mapping[str, Address],
    memo: Memo | None = None,
) -> Table:
    """Everything nginx is to serve; of two Services that claim one host the older has it."""
    memo = memo or Memo()
    entries: Entries = {}
    problems: list[str] = []
    for host in (place for place in static if " " not in place):
        entries.update(render_static(host, static))
    by_service = group_slices(slices)
    pem = {key_of(secret): secret for secret in secrets}
    for service in sorted(services, key=_age):
        key = key_of(service)
        route, targets, found = memo.made(f"route:{key}", (service,), partial(render_route, service))
        problems += found
        entries[f"route:{key}"] = route
        for target in (key, *targets):
            group = by_service.get(target, [])
            entries[f"peers:{target}"] = memo.made(f"peers:{target}", group, partial(render_peers, group))
        for host in hosts_of(service, domain):
            if not HOST.fullmatch(host) or len(host) > 253:
                problems.append(f"Service {key} asks for the domain {host!r}, which is not a host name; it is left out")
            elif (holder := entries.get(f"host:{host}", key)) != key:
                problems.append(f"Service {key} asks for the domain {host}, which {holder} already has; it is left out")
            else:
                entries[f"host:{host}"] = key
        found = _add_certificates(entries, service, pem, domain)
        problems += found
    memo.forget_unused()
    return Table(entries, problems)


def key_of(obj: Obj) -> str:
    return f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _age(service: Obj) -> tuple[str, str]:
    return service["metadata"].get("creationTimestamp") or "", key_of(service)


def _annotation(service: Obj, name: str) -> str:
    return (service["metadata"].get("annotations") or {}).get(PREFIX + name) or ""


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def group_slices(slices: Iterable[Obj]) -> dict[str, list[Obj]]:
    """`namespace/service` → its EndpointSlices, in the order of their names."""
    groups: dict[str, list[Obj]] = defaultdict(list)
    for piece in slices:
        if name := (piece["metadata"].get("labels") or {}).get(SERVICE_NAME):
            groups[f"{piece['metadata'].get('namespace', '')}/{name}"].append(piece)
    for group in groups.values():
        group.sort(key=lambda piece: piece["metadata"]["name"])
    return groups


def full_host(name: str, domain: str) -> str:
    """A bare name is one of the platform's own domain."""
    name = name.lower().rstrip(".")
    return name if "." in name else f"{name}.{domain}"


def hosts_of(service: Obj, domain: str) -> list[str]:
    return [full_host(name, domain) for name in _listed(_annotation(service, "domains"))]


def render_static(host: str, static: Mapping[str, Address]) -> Entries:
    """A host of the platform's own, and the paths of it that another of its programs serves."""
    key = f"static/{host}"
    paths = {place.partition(" ")[2]: place for place in static if place.startswith(f"{host} ")}
    locations, _ = parse_locations(json.dumps([{"pattern": path, "service": path} for path in paths]), key)
    route: dict[str, Any] = {"app": "", "platform": True}
    if locations:
        route["locations"] = locations
    served = {key: static[host]} | {f"{key}/{path}": static[place] for path, place in paths.items()}
    return {
        f"host:{host}": key,
        f"route:{key}": json.dumps(route),
        **{f"peers:{name}": json.dumps([[upstream.host, upstream.port]]) for name, upstream in served.items()},
    }


def render_route(service: Obj) -> tuple[str, list[str], list[str]]:
    """The route of one Service, the keys of other Services it sends paths to, and what is wrong with it."""
    key, namespace = key_of(service), service["metadata"].get("namespace", "")
    route: dict[str, Any] = {"app": (service["metadata"].get("labels") or {}).get("app") or namespace}
    problems: list[str] = []
    if _annotation(service, "maintenance") == "true":
        route["maintenance"] = True
    if _annotation(service, "ssl.enforce") == "true":
        route["ssl_enforce"] = True
    if seconds := parse_duration(timeout := _annotation(service, "tcpTimeout")):
        route["timeout"] = seconds
    elif timeout:
        problems.append(
            f"Service {key}: {PREFIX}tcpTimeout {timeout!r} is no duration such as 90s or 10m; it is ignored"
        )
    if networks := _listed(_annotation(service, "whitelist")):
        route["whitelist"], bad = parse_networks(networks)
        problems += [f"Service {key} allows {text!r}, which is not an address or CIDR; it is left out" for text in bad]
    locations, bad = parse_locations(_annotation(service, "locations"), namespace)
    problems += [f"Service {key}: {text}" for text in bad]
    if locations:
        route["locations"] = locations
    targets = sorted({location["key"] for location in locations} - {key})
    return json.dumps(route, separators=(",", ":")), targets, problems


UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
LONGEST = 24 * 3600  # seconds an app may stay silent, whatever it asks for


def parse_duration(text: str) -> float:
    """Seconds; 0 for what is none. The router of Deis took `1300s`, `20m`."""
    found = re.fullmatch(r"(\d{1,9})(ms|s|m|h)?", text.strip())
    return min(int(found[1]) * UNITS[found[2] or "s"], LONGEST) if found else 0


def parse_networks(networks: Sequence[str]) -> tuple[list[list[Any]], list[str]]:
    """([[address in hex, prefix length], …], what could not be read): the form that Lua compares quickly."""
    parsed: list[list[Any]] = []
    bad: list[str] = []
    for text in networks:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            bad.append(text)
        else:
            parsed.append([network.network_address.packed.hex(), network.prefixlen])
    return parsed, bad


MODIFIERS = {"=": "exact", "^~": "final", "~": "regex", "~*": "iregex"}


def parse_locations(text: str, namespace: str) -> tuple[list[dict[str, str]], list[str]]:
    """Paths served by another Service, in nginx's order: exact ones, prefixes (longest first), then expressions.

    A pattern is what nginx's `location` takes: `/api`, `= /api`, `^~ /api`, `~ ^/api`, `~* \\.png$`; several may be
    joined by commas.
    """
    if not text:
        return [], []
    try:
        wanted = [(item["pattern"], item["service"]) for item in json.loads(text)]
        patterns = [(part, service) for pattern, service in wanted for part in _listed(pattern)]
    except (ValueError, TypeError, KeyError, AttributeError):
        return [], [f"annotation {PREFIX}locations is not a JSON list of pattern and service; it is ignored"]
    locations: list[dict[str, str]] = []
    problems: list[str] = []
    for pattern, service in patterns:
        modifier, _, value = pattern.rpartition(" ") if " " in pattern else ("", "", pattern)
        kind = MODIFIERS.get(modifier.strip(), "" if modifier.strip() else "prefix")
        if not kind or (kind in ("prefix", "final", "exact") and not value.startswith("/")):
            problems.append(f"location {pattern!r} is not a path or expression that nginx would take; it is left out")
            continue
        locations.append({"kind": kind, "value": value, "key": f"{namespace}/{service}"})
    order = {"exact": 0, "final": 1, "prefix": 1, "regex": 2, "iregex": 2}
    locations.sort(key=lambda item: (order[item["kind"]], -len(item["value"]) if order[item["kind"]] == 1 else 0))
    return locations, problems


def render_peers(slices: Iterable[Obj]) -> str:
    """Ready endpoints; when there is none, those that still serve while they terminate (as kube-proxy does)."""
    ready: set[tuple[str, int]] = set()
    ending: set[tuple[str, int]] = set()
    for piece in slices:
        if (port := _port_of(piece)) is None or piece.get("addressType") == "FQDN":
            continue
        for endpoint in piece.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            where = {(address, port) for address in endpoint.get("addresses") or ()}
            if conditions.get("terminating"):
                if conditions.get("serving"):
                    ending |= where
            elif conditions.get("ready", True) is not False:
                ready |= where
    return json.dumps([list(peer) for peer in sorted(ready or ending)], separators=(",", ":"))


def _port_of(piece: Obj) -> int | None:
    """The port named http, else the first."""
    ports = [port for port in piece.get("ports") or () if port.get("port") and port.get("protocol", "TCP") == "TCP"]
    named = [port for port in ports if port.get("name") == "http"]
    return int((named or ports)[0]["port"]) if ports else None


def _add_certificates(entries: Entries, service: Obj, secrets: Mapping[str, Obj], domain: str) -> list[str]:
    problems = []
    namespace, hosts = service["metadata"].get("namespace", ""), set(hosts_of(service, domain))
    for pair in _listed(_annotation(service, "certificates")):
        name, _, certificate = pair.rpartition(":")
        host, key = full_host(name, domain), f"{namespace}/{certificate}-cert"
        if not name or host not in hosts or entries.get(f"host:{host}") != key_of(service):
            problems.append(
                f"Service {key_of(service)} has a certificate for {name!r}, which is not one of its domains"
            )
            continue
        try:
            data = secrets[key]["data"]
            pem = {part: base64.b64decode(data[f"tls.{part}"]).decode("ascii") for part in ("crt", "key")}
        except KeyError:
            problems.append(f"certificate {key} of {host} is not there yet, or lacks tls.crt or tls.key")
        except (binascii.Error, UnicodeDecodeError):
            problems.append(f"certificate {key} of {host} is not PEM text; attach it again")
        else:
            entries[f"cert:{host}"] = key
            entries[f"pem:{key}"] = json.dumps(pem)
    return problems


class Change(NamedTuple):
    set: Entries
    delete: list[str]

    def __bool__(self) -> bool:
        return bool(self.set or self.delete)


def plan_change(current: Mapping[str, str], wanted: Mapping[str, str]) -> Change:
    """What turns one table into the other."""
    return Change(
        {key: value for key, value in wanted.items() if current.get(key) != value},
        [key for key in current if key not in wanted],
    )
