"""The simulated nodes of a scratch platform: their names, and the certificate of the agent that speaks for them all.

The server makes a serving certificate for the one node of a real platform; of several in one agent it is good for none.
"""

from __future__ import annotations

import datetime
import http.client
import json
import ssl
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from host.secret_files import write_once
from host.settings import Platform

NODES = 2
LIFETIME = datetime.timedelta(days=30)  # longer than a scratch platform lives
CLOCK_SKEW = datetime.timedelta(hours=1)


def node_names() -> list[str]:
    """As the agent counts them."""
    return [f"node-{number:04d}" for number in range(NODES)]


def agent_environment(platform: Platform) -> dict[str, str]:
    home = platform.home
    return {
        "KUBECONFIG": f"{home}/orchestrator/admin.kubeconfig",  # a node's own speaks for that one node only
        "AGENT_RUNTIME": "memory",
        "AGENT_SIMULATED_NODES": str(NODES),
        "NODE_NAME": "node",
        "AGENT_CERT_FILE": f"{home}/agent/serving.crt",
        "AGENT_KEY_FILE": f"{home}/agent/serving.key",
    }


def write_certificate(platform: Platform) -> None:
    """The agent's, signed by the authority that the API server has made."""
    pki, agent = platform.home / "orchestrator" / "pki", platform.home / "agent"
    authority = x509.load_pem_x509_certificate((pki / "ca.crt").read_bytes())
    authority_key = serialization.load_pem_private_key((pki / "ca.key").read_bytes(), None)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulated nodes")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in node_names()]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())  # type: ignore[arg-type]
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    write_once(agent / "serving.key", pem.decode())
    (agent / "serving.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def all_ready(platform: Platform) -> bool:
    """Whether the API server calls every node ready; not while it doesn't answer."""
    try:
        nodes = _ask(platform, "/api/v1/nodes")
    except (OSError, http.client.HTTPException, ValueError):
        return False
    conditions = [condition for node in nodes for condition in node.get("status", {}).get("conditions") or ()]
    return sum((condition["type"], condition["status"]) == ("Ready", "True") for condition in conditions) == NODES


def _ask(platform: Platform, path: str) -> list[dict[str, Any]]:
    pki = platform.home / "orchestrator" / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    connection = http.client.HTTPSConnection("127.0.0.1", platform.api_port, timeout=5, context=context)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read()).get("items") or []
    finally:
        connection.close()
