"""What the environment says, read once at start: the only module here that looks at it."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from router.errors import RouterError

NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9.-]*[a-z0-9])?")  # of a host; addresses have no letters, or colons


class BadSetting(RouterError):
    def __init__(self, name: str, value: str, expected: str) -> None:
        super().__init__(f"{name}={value!r} is not usable: expected {expected}; correct it and start again")


@dataclass(frozen=True)
class Address:
    """Where to listen; host `*` is every IPv4 and IPv6 address."""

    host: str
    port: int

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    data: Path
    http_listen: tuple[Address, ...]
    https_listen: tuple[Address, ...]
    metrics_listen: Address | None
    platform_domain: str
    static: Mapping[str, Address]
    """Hosts served by the platform itself, and paths of such hosts: `host`, or `host <nginx location>`."""
    trusted_proxies: tuple[str, ...]
    """Networks whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    kubeconfig: str
    """Empty: the service account mounted into the pod."""
    in_cluster: tuple[str, int] | None
    """The API server as a pod is told of it."""
    workers: int
    user: str
    """Whom nginx workers run as when the master is root."""

    @property
    def admin_socket(self) -> Path:
        return self.data / "admin.sock"

    @property
    def config_file(self) -> Path:
        return self.data / "nginx.conf"

    @property
    def pid_file(self) -> Path:
        return self.data / "nginx.pid"

    @property
    def snapshot_file(self) -> Path:
        return self.data / "routes.json"


def parse_address(name: str, text: str) -> Address:
    """`127.0.0.1:8080`, `[::1]:8080` or `*:8080`."""
    expected = "address:port, such as 127.0.0.1:8080, [::1]:8080 or *:8080"
    host, _, port = text.strip().rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise BadSetting(name, text, expected)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if host != "*":
        try:
            host = str(ipaddress.ip_address(host))
        except ValueError:
            raise BadSetting(name, text, expected) from None
    return Address(host, int(port))


def parse_addresses(name: str, text: str) -> tuple[Address, ...]:
    return tuple(parse_address(name, part) for part in text.split(",") if part.strip())


def parse_static(text: str) -> dict[str, Address]:
    name = "ROUTER_STATIC"
    expected = (
        'JSON of host, or host and location, to address:port, such as {"paas.localhost": "127.0.0.1:8000", '
        '"paas.localhost ^~ /builder/": "127.0.0.1:2280"}'
    )
    try:
        hosts = json.loads(text)
    except ValueError:
        raise BadSetting(name, text, expected) from None
    if not isinstance(hosts, dict) or not all(isinstance(value, str) for value in hosts.values()):
        raise BadSetting(name, text, expected)
    static = {}
    for place, upstream in hosts.items():
        host, blank, location = place.partition(" ")
        static[host.lower().rstrip(".") + blank + location] = parse_upstream(name, upstream)
    return static


def parse_upstream(name: str, text: str) -> Address:
    """An address, or a name: looked up once, at start, so it is to be one that stays, as a Service's is."""
    host, _, port = text.strip().rpartition(":")
    if not NAME.fullmatch(host) or not port.isdigit():
        return parse_address(name, text)
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except OSError as exc:
        raise BadSetting(name, text, f"a name that can be looked up ({exc})") from exc
    return Address(str(found[0][4][0]), int(port))


def parse_networks(name: str, text: str) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(part.strip(), strict=False)) for part in text.split(",") if part.strip())
    except ValueError:
        raise BadSetting(name, text, "a comma-separated list of addresses or CIDRs") from None


def _in_cluster(env: Mapping[str, str]) -> tuple[str, int] | None:
    host, port = env.get("KUBERNETES_SERVICE_HOST"), env.get("KUBERNETES_SERVICE_PORT") or "443"
    if host and not port.isdigit():
        raise BadSetting("KUBERNETES_SERVICE_PORT", port, "a port number")
    return (host, int(port)) if host else None


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Raises: BadSetting, which names the variable."""
    env = os.environ if environ is None else environ
    if not env.get("ROUTER_DATA"):
        raise BadSetting("ROUTER_DATA", "", "a folder for nginx.conf, routes.json and the admin socket")
    metrics = parse_addresses("ROUTER_METRICS_LISTEN", env.get("ROUTER_METRICS_LISTEN", ""))
    workers = env.get("ROUTER_WORKERS") or str(min(os.cpu_count() or 1, 8))
    if not workers.isdigit() or not 0 < int(workers) <= 256:
        raise BadSetting("ROUTER_WORKERS", workers, "a number of worker processes from 1 to 256")
    return Settings(
        data=Path(env["ROUTER_DATA"]).absolute(),
        http_listen=parse_addresses("ROUTER_HTTP_LISTEN", env.get("ROUTER_HTTP_LISTEN", "127.0.0.1:8080,[::1]:8080")),
        https_listen=parse_addresses("ROUTER_HTTPS_LISTEN", env.get("ROUTER_HTTPS_LISTEN", "")),
        metrics_listen=metrics[0] if metrics else None,
        platform_domain=env.get("PLATFORM_DOMAIN", "paas.localhost").lower().strip("."),
        static=parse_static(env.get("ROUTER_STATIC") or "{}"),
        trusted_proxies=parse_networks("ROUTER_TRUSTED_PROXIES", env.get("ROUTER_TRUSTED_PROXIES", "")),
        kubeconfig=env.get("KUBECONFIG", ""),
        in_cluster=_in_cluster(env),
        workers=int(workers),
        user=env.get("ROUTER_USER", "www-data"),
    )
