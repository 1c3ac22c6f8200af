"""The cluster's own certificate authority, made at the first start and kept under `ORCHESTRATOR_DATA/pki`.

Every identity is a client certificate: CN is the user, O are its groups, as Kubernetes reads them. Each has a
kubeconfig beside the store, readable by its owner alone. Certificates other than the authority's are renewed at a
start when less than a third of their life is left or a name is missing from them.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from orchestrator.settings import ServerSettings

_AUTHORITY_LIFE = datetime.timedelta(days=3650)
_LIFE = datetime.timedelta(days=825)
_CLOCK_SKEW = datetime.timedelta(hours=1)

ADMIN = ("kubernetes-admin", ("system:masters",))
IDENTITIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "admin": ADMIN,
    "controller": ("paas:controller", ("paas:platform",)),
    "router": ("paas:router", ("paas:platform",)),
}
"""Kubeconfig name: user and groups. The two of the agent are added with its node's name."""


@dataclass(frozen=True, slots=True)
class Pki:
    """Paths of what `ensure_pki` made."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.crt"

    @property
    def token_key(self) -> Path:
        """Signs ServiceAccount tokens (RS256)."""
        return self.folder / "sa.key"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"


def ensure_pki(settings: ServerSettings) -> Pki:
    """Make what is missing or about to expire; leave the rest as it is."""
    pki = Pki(settings.data / "pki")
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    pki.folder.mkdir(exist_ok=True, mode=0o700)
    if not pki.ca.exists() or not pki.key("ca").exists():
        _make_authority(pki)
    if not pki.token_key.exists():
        _write_key(pki.token_key, rsa.generate_private_key(public_exponent=65537, key_size=2048))
    _ensure_leaf(pki, "server", "kube-apiserver", (), server_names(settings), server=True)
    _ensure_leaf(pki, "server-client", "kube-apiserver-kubelet-client", ("system:masters",), (), server=False)
    node = settings.node_name or socket.gethostname().lower()
    identities = {
        **IDENTITIES,
        "network": (f"paas:network:{node}", ("paas:networks",)),
        "agent": (f"system:node:{node}", ("system:nodes",)),
    }
    for name, (user, groups) in identities.items():
        names = node_names(node) if name == "agent" else ()
        _ensure_leaf(pki, name, user, groups, names, server=name == "agent")
        write_kubeconfig(settings.data / f"{name}.kubeconfig", pki, name, settings.url, user)
    return pki


def server_names(settings: ServerSettings) -> list[str]:
    names = ["127.0.0.1", "::1", "localhost", socket.gethostname(), socket.getfqdn(), settings.first_service_ip]
    names += [settings.address, *(settings.host,) * (settings.host not in ("", "0.0.0.0", "::"))]
    service = "kubernetes"
    names += [service, f"{service}.default", f"{service}.default.svc"]
    names.append(f"{service}.default.svc.{settings.cluster_domain}")
    return list(dict.fromkeys(names))


def node_names(node: str) -> list[str]:
    """What the agent's serving certificate is good for, besides its node's addresses."""
    return list(dict.fromkeys([node, "localhost", "127.0.0.1", "::1", socket.gethostname()]))


def _make_authority(pki: Pki) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "orchestrator-ca")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_key(pki.key("ca"), key)
    _write(pki.ca, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_encipherment=not sign_certificates, key_cert_sign=sign_certificates,
        crl_sign=sign_certificates, content_commitment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _ensure_leaf(pki: Pki, name: str, user: str, groups: Sequence[str], names: Iterable[str], *, server: bool) -> None:
    names = list(names)
    if pki.key(name).exists() and pki.certificate(name).exists() and _is_good(pki, name, user, names):
        return
    authority = x509.load_pem_x509_certificate(pki.ca.read_bytes())
    authority_key = serialization.load_pem_private_key(pki.key("ca").read_bytes(), password=None)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, *[ExtendedKeyUsageOID.SERVER_AUTH] * server]
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([*subject, x509.NameAttribute(NameOID.COMMON_NAME, user)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(min(now + _LIFE, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_san(n) for n in names]), critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())  # type: ignore[arg-type]
    _write_key(pki.key(name), key)
    _write(pki.certificate(name), certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_good(pki: Pki, name: str, user: str, names: list[str]) -> bool:
    certificate = x509.load_pem_x509_certificate(pki.certificate(name).read_bytes())
    common_name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    if left < _LIFE / 3 or common_name != user:
        return False
    try:
        present = set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        present = set()
    return {_san(n) for n in names} <= present


def write_kubeconfig(path: Path, pki: Pki, name: str, url: str, user: str) -> None:
    """A kubeconfig with everything inline, so that one file is one identity."""

    def inline(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "paas", "cluster": {"server": url, "certificate-authority-data": inline(pki.ca)}}],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": inline(pki.certificate(name)),
                    "client-key-data": inline(pki.key(name)),
                },
            }
        ],
        "contexts": [{"name": "paas", "context": {"cluster": "paas", "user": user, "namespace": "default"}}],
        "current-context": "paas",
        "preferences": {},
    }
    text = yaml.safe_dump(config, sort_keys=False).encode()
    if not path.exists() or path.read_bytes() != text:
        _write(path, text, 0o600)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(path, pem, 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace `path` at once, so that a crash leaves the old file or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(mode)
    temporary.replace(path)
