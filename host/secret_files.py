"""The platform's own secrets, made once under `$PAAS_HOME/secrets`, readable by root only."""

from __future__ import annotations

import datetime
import json
import os
import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

KEY_FILES = ("django.key", "builder.key")
REGISTRY_CREDENTIALS = "registry.json"
REGISTRY_TOKENS = "registry-tokens"  # .key signs the registry's tokens, .crt is what the registry checks them with
CERTIFICATE_LIFE = datetime.timedelta(days=36500)  # trusted because it is this file, not for its dates


def ensure(folder: Path) -> None:
    """Make what is missing; what exists is never changed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in KEY_FILES:
        write_once(folder / name, secrets.token_urlsafe(48) + "\n")
    write_once(
        folder / REGISTRY_CREDENTIALS,
        json.dumps({"username": "platform", "password": secrets.token_urlsafe(32)}) + "\n",
    )
    if not (folder / f"{REGISTRY_TOKENS}.crt").exists():
        key, certificate = signing_pair()
        (folder / f"{REGISTRY_TOKENS}.key").unlink(missing_ok=True)
        write_once(folder / f"{REGISTRY_TOKENS}.key", key)
        write_once(folder / f"{REGISTRY_TOKENS}.crt", certificate)


def signing_pair() -> tuple[str, str]:
    """A new P-256 key and its own certificate, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "paas registry tokens")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + CERTIFICATE_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private.decode(), certificate.public_bytes(Encoding.PEM).decode()


def write_once(path: Path, text: str) -> None:
    if path.exists():
        return
    partial = path.with_name(path.name + ".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
