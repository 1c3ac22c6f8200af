"""The server's settings: the environment is read here and nowhere else."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import OrchestratorError


class BadSetting(OrchestratorError):
    """An environment variable that the server cannot work with."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    data: Path
    host: str = "127.0.0.1"
    port: int = 6443
    pod_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    cluster_domain: str = "cluster.local"
    node_name: str = ""  # whose agent.kubeconfig is written; empty: this host's name
    advertise_address: str = ""  # what `kubernetes.default` endpoints and kubeconfigs say; empty: derived from host
    metrics_urls: tuple[str, ...] = ()  # Prometheus pages that autoscalers may scale by, such as the router's
    compaction_interval: float = 300.0  # seconds; history is kept for one to two of them
    event_ttl: float = 3600.0  # seconds an Event lives, as in Kubernetes
    bookmark_interval: float = 60.0  # seconds between bookmarks to the watchers that asked for them
    drain_timeout: float = 10.0  # seconds that requests in flight get after SIGTERM
    max_body: int = 3 * 1024 * 1024  # bytes, as in Kubernetes

    @property
    def first_service_ip(self) -> str:
        """The address of the `kubernetes` service."""
        return str(ipaddress.ip_network(self.service_cidr).network_address + 1)

    @property
    def address(self) -> str:
        """Where clients on this host reach the server."""
        if self.advertise_address:
            return self.advertise_address
        return "127.0.0.1" if self.host in ("", "0.0.0.0", "::") else self.host

    @property
    def url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"https://{host}:{self.port}"

    @property
    def issuer(self) -> str:
        """The issuer of ServiceAccount tokens."""
        return f"https://kubernetes.default.svc.{self.cluster_domain}"

    @property
    def keys_url(self) -> str:
        """Where those who check ServiceAccount tokens find the keys: pods at least can reach it."""
        return f"{self.url if self.advertise_address else self.issuer}/openid/v1/jwks"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> ServerSettings:
        """Raises: BadSetting naming the variable."""
        env = os.environ if environment is None else environment
        host, port = parse_listen(env.get("ORCHESTRATOR_LISTEN", "127.0.0.1:6443"), "ORCHESTRATOR_LISTEN")
        return cls(
            data=Path(env.get("ORCHESTRATOR_DATA", "/var/lib/paas/orchestrator")),
            host=host,
            port=port,
            pod_cidr=_cidr(env, "ORCHESTRATOR_POD_CIDR", "10.244.0.0/16"),
            service_cidr=_cidr(env, "ORCHESTRATOR_SERVICE_CIDR", "10.96.0.0/16"),
            cluster_domain=env.get("ORCHESTRATOR_CLUSTER_DOMAIN", "cluster.local").strip("."),
            node_name=env.get("NODE_NAME", "") or socket.gethostname().lower(),
            advertise_address=env.get("ORCHESTRATOR_ADVERTISE_ADDRESS", ""),
            metrics_urls=_urls(env, "ORCHESTRATOR_METRICS_URLS"),
        )


def parse_listen(text: str, variable: str) -> tuple[str, int]:
    """`host:port`, `:port` or `[v6]:port`. Raises: BadSetting."""
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 <= int(port) < 65536:
        raise BadSetting(f"{variable}={text!r} is not host:port; write for example 127.0.0.1:6443")
    return host.strip("[]"), int(port)


def _urls(env: Mapping[str, str], variable: str) -> tuple[str, ...]:
    """Commas between them. Raises: BadSetting."""
    found = tuple(url.strip() for url in env.get(variable, "").split(",") if url.strip())
    for url in found:
        if not url.startswith(("http://", "https://")):
            raise BadSetting(f"{variable} holds {url!r}; write URLs such as http://127.0.0.1:9090/metrics")
    return found


def _cidr(env: Mapping[str, str], variable: str, default: str) -> str:
    try:
        return str(ipaddress.ip_network(env.get(variable) or default))
    except ValueError as exc:
        raise BadSetting(f"{variable} is not a network range ({exc}); write for example {default}") from exc
