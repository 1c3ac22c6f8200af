"""When the cluster's own certificates end: read from the kubeconfig, and from what its servers show."""

import base64
import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from cryptography import x509

from controller.cluster.client import Cluster

PATIENCE = 3  # seconds for one handshake
KUBELET_PORT = 10250


@dataclass(frozen=True)
class Certificate:
    name: str
    ends: datetime


def certificates(kubeconfig: Path, cluster: Cluster) -> Iterator[Certificate]:
    """The authority's, our own, the API server's and every kubelet's; none of what can't be read or reached.

    Raises: OSError when there is no such kubeconfig.
    """
    config = yaml.safe_load(kubeconfig.read_text())
    server = config["clusters"][0]["cluster"]
    for name, holder, key in (
        ("the cluster's authority", server, "certificate-authority"),
        ("the controller's own", config["users"][0]["user"], "client-certificate"),
    ):
        if pem := inline_or_file(holder, key, kubeconfig.parent):
            yield Certificate(name, x509.load_pem_x509_certificate(pem).not_valid_after_utc)
    url = urlsplit(server["server"])
    if url.scheme == "https" and (ends := shown_by(url.hostname or "", url.port or 443)):
        yield Certificate("the API server's", ends)
    for node in cluster.list("Node", None)[0]:
        status = node.get("status") or {}
        port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or KUBELET_PORT
        for address in kubelet_addresses(node, url.hostname or ""):
            if ends := shown_by(address, port):
                yield Certificate(f"the kubelet's of node {node['metadata']['name']}", ends)
                break


def inline_or_file(holder: dict, key: str, folder: Path) -> bytes:
    """A kubeconfig has its certificates inside it, or names files beside it."""
    if encoded := holder.get(f"{key}-data"):
        return base64.b64decode(encoded)
    return (folder / holder[key]).read_bytes() if holder.get(key) else b""


def kubelet_addresses(node: dict, server: str) -> list[str]:
    """The node's own, and the API server's: the agent beside it may listen on loopback alone."""
    found = {each.get("type"): each.get("address") for each in (node.get("status") or {}).get("addresses") or ()}
    own = found.get("InternalIP") or found.get("Hostname") or node["metadata"]["name"]
    beside = [server] if node["metadata"]["name"] == socket.gethostname().lower() else []
    return [own, *beside]


def shown_by(host: str, port: int) -> datetime | None:
    """When the certificate ends that a server shows in the handshake; one that has ended is shown as well."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # looked at, never trusted
    with contextlib.suppress(OSError, ValueError):
        with socket.create_connection((host, port), PATIENCE) as plain, context.wrap_socket(plain) as tls:
            shown = tls.getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(shown).not_valid_after_utc if shown else None
    return None
