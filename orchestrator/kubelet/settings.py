"""What the agent reads from its environment; nothing else in the agent reads it."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from orchestrator.errors import OrchestratorError


class BadSetting(OrchestratorError):
    """A variable of the environment is missing or makes no sense; the message names it."""


INSTANCE_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class AgentSettings:
    kubeconfig: Path
    data: Path
    listen_host: str = "127.0.0.1"
    listen_port: int = 10250
    node_name: str = "node-1"
    docker_host: str = "unix:///var/run/docker.sock"
    docker_cert_path: str = ""  # folder of ca.pem, cert.pem, key.pem, for tcp:// hosts
    instance: str = "paas"  # label value on everything made, and part of its names
    runtime: str = "docker"  # or "memory": nothing runs, everything "works"
    simulated_nodes: int = 1  # nodes in this process; more than one needs the memory runtime
    mtu: int = 0  # 0: the smallest of the host's cards
    pod_cidr: str = "10.244.0.0/16"  # the whole cluster's
    service_cidr: str = "10.96.0.0/16"
    cluster_domain: str = "cluster.local"
    sandbox_pool: int = 20  # pause containers kept ready, a large scale-up's worth; each costs a shim (4.5 MB)
    max_pods: int = 110
    registry_host: str = "127.0.0.1:5000"  # whose images may be collected when the disk fills
    serving_cert: Path | None = None  # None: pki/ beside the kubeconfig
    serving_key: Path | None = None
    client_ca: Path | None = None
    network_kubeconfig: Path | None = None  # None: network.kubeconfig beside the kubeconfig

    @property
    def tls_files(self) -> tuple[Path, Path, Path]:
        """Certificate and key to serve with, and the authority of those who may ask: by default what the server
        made beside the kubeconfig."""
        folder = self.kubeconfig.parent / "pki"
        return (
            self.serving_cert or folder / "agent.crt",
            self.serving_key or folder / "agent.key",
            self.client_ca or folder / "ca.crt",
        )


def settings_from(environment: Mapping[str, str]) -> AgentSettings:
    """Raises: BadSetting, which names the variable."""

    def text(name: str, default: str) -> str:
        return environment.get(name, "").strip() or default

    def number(name: str, default: int) -> int:
        value = text(name, str(default))
        if not value.isdigit():
            raise BadSetting(f"{name} must be a whole number, not {value!r}")
        return int(value)

    def network(name: str, default: str) -> str:
        value = text(name, default)
        try:
            return str(ipaddress.IPv4Network(value))
        except ValueError as exc:
            raise BadSetting(f"{name} must be an IPv4 network such as {default}: {exc}") from exc

    def path(name: str) -> Path | None:
        return Path(environment[name]) if environment.get(name) else None

    for required in ("KUBECONFIG", "AGENT_DATA"):
        if not environment.get(required):
            raise BadSetting(f"{required} is not set; the agent can't start without it")
    host, _, port = text("AGENT_LISTEN", "127.0.0.1:10250").rpartition(":")
    if not host or not port.isdigit():
        raise BadSetting("AGENT_LISTEN must be host:port, such as 127.0.0.1:10250")
    instance = text("AGENT_INSTANCE", "paas")
    if not INSTANCE_PATTERN.fullmatch(instance):
        raise BadSetting("AGENT_INSTANCE must be up to 32 of a-z, 0-9 and '-', starting and ending with no '-'")
    runtime = text("AGENT_RUNTIME", "docker")
    if runtime not in ("docker", "memory"):
        raise BadSetting(f"AGENT_RUNTIME must be docker or memory, not {runtime!r}")
    nodes = number("AGENT_SIMULATED_NODES", 1)
    if nodes > 1 and runtime != "memory":
        raise BadSetting("AGENT_SIMULATED_NODES needs AGENT_RUNTIME=memory: one engine is one node")
    return AgentSettings(
        kubeconfig=Path(environment["KUBECONFIG"]),
        data=Path(environment["AGENT_DATA"]),
        listen_host=host,
        listen_port=int(port),
        node_name=text("NODE_NAME", socket.gethostname().lower()),
        docker_host=text("DOCKER_HOST", "unix:///var/run/docker.sock"),
        docker_cert_path=text("DOCKER_CERT_PATH", ""),
        instance=instance,
        runtime=runtime,
        simulated_nodes=max(nodes, 1),
        mtu=number("AGENT_MTU", 0),
        pod_cidr=network("ORCHESTRATOR_POD_CIDR", "10.244.0.0/16"),
        service_cidr=network("ORCHESTRATOR_SERVICE_CIDR", "10.96.0.0/16"),
        cluster_domain=text("ORCHESTRATOR_CLUSTER_DOMAIN", "cluster.local"),
        sandbox_pool=number("AGENT_SANDBOX_POOL", 20),
        max_pods=number("AGENT_MAX_PODS", 110),
        registry_host=text("REGISTRY_HOST", "127.0.0.1:5000"),
        serving_cert=path("AGENT_CERT_FILE"),
        serving_key=path("AGENT_KEY_FILE"),
        client_ca=path("AGENT_CLIENT_CA_FILE"),
        network_kubeconfig=path("AGENT_NETWORK_KUBECONFIG"),
    )


def settings_from_environment() -> AgentSettings:
    return settings_from(os.environ)


class CleanupSettings(NamedTuple):
    """All that cleaning up needs to know."""

    docker_host: str
    docker_cert_path: str
    data: Path | None  # the agent's folder, whose mounts are to go

    @classmethod
    def from_environment(cls) -> CleanupSettings:
        data = os.environ.get("AGENT_DATA")
        return cls(
            docker_host=os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock",
            docker_cert_path=os.environ.get("DOCKER_CERT_PATH", ""),
            data=Path(data) if data else None,
        )
