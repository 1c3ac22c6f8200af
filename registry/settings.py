"""The registry's settings, read from the environment once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from registry.bucket_root import settle
from registry.errors import SettingsError


@dataclass(frozen=True)
class ObjectStorage:
    """Where images are kept when not on this disk: a bucket that speaks S3."""

    bucket: str
    region: str
    endpoint: str  # URL; empty for Amazon's own
    access_key: str
    secret_key: str = field(repr=False)
    root: str = ""  # the folder in it that is ours; empty: the top


@dataclass(frozen=True)
class Settings:
    data: Path  # configuration and images
    listen: str  # host:port
    token_realm: str = ""  # URL where clients fetch their tokens: the controller's
    token_certificate: Path | None = None  # PEM; what signs the tokens has its key
    notify_url: str = ""  # hears of every push; empty: nobody does
    notify_key: str = field(default="", repr=False)
    object_storage: ObjectStorage | None = None
    remote_url: str = ""  # a public registry that this one passes on and keeps copies of; it takes no pushes then


def load(env: Mapping[str, str] = os.environ) -> Settings:
    """Raises: SettingsError naming the variable."""
    needed = ["REGISTRY_DATA"]
    if not env.get("REGISTRY_REMOTE_URL"):
        needed += ["REGISTRY_TOKEN_REALM", "REGISTRY_TOKEN_CERT_FILE"]
    for name in needed:
        if not env.get(name):
            raise SettingsError(f"{name} is not set.")
    listen = env.get("REGISTRY_LISTEN") or "127.0.0.1:5000"
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise SettingsError(f"REGISTRY_LISTEN={listen!r} is not host:port.")
    return Settings(
        data_folder(env),
        listen,
        env.get("REGISTRY_TOKEN_REALM", ""),
        certificate(env.get("REGISTRY_TOKEN_CERT_FILE", "")),
        env.get("REGISTRY_NOTIFY_URL", ""),
        read(env, "REGISTRY_NOTIFY_KEY_FILE").strip(),
        object_storage(env),
        url(env, "REGISTRY_REMOTE_URL"),
    )


def admin_address(env: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """(host:port, key) of the admin door over the network; empty without one. Raises: SettingsError."""
    listen, key = env.get("REGISTRY_ADMIN_LISTEN", ""), read(env, "REGISTRY_NOTIFY_KEY_FILE").strip()
    host, _, port = listen.rpartition(":")
    if listen and (not host or not port.isdigit()):
        raise SettingsError(f"REGISTRY_ADMIN_LISTEN={listen!r} is not host:port.")
    if listen and not key:
        raise SettingsError("REGISTRY_ADMIN_LISTEN needs REGISTRY_NOTIFY_KEY_FILE: the key that opens it.")
    return listen, key


def data_folder(env: Mapping[str, str] = os.environ) -> Path:
    return Path(env["REGISTRY_DATA"]).absolute()


def server_environment(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the server sees of ours: with a CA bundle for its S3 library alone it panics, so that is for all it does."""
    bundle = env.get("SSL_CERT_FILE") or env.get("AWS_CA_BUNDLE", "")
    kept = {name: value for name, value in env.items() if name != "AWS_CA_BUNDLE"}
    return {**kept, "SSL_CERT_FILE": bundle} if bundle else kept


def certificate(name: str) -> Path | None:
    if not name:
        return None
    path = Path(name).absolute()
    if not path.is_file():
        raise SettingsError(f"REGISTRY_TOKEN_CERT_FILE={path} is not a file.")
    return path


def read(env: Mapping[str, str], name: str) -> str:
    """The text of the file that `name` names, or nothing."""
    path = env.get(name, "")
    try:
        return Path(path).read_text() if path else ""
    except OSError as exc:
        raise SettingsError(f"{name}={path!r} can't be read: {exc.strerror}") from exc


def url(env: Mapping[str, str], name: str) -> str:
    text = env.get(name, "")
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise SettingsError(f"{name}={text!r} is not a URL such as https://registry.example.com.")
    return text


def object_storage(env: Mapping[str, str] = os.environ) -> ObjectStorage | None:
    bucket = env.get("REGISTRY_S3_BUCKET", "")
    if not bucket:
        return None
    path = env.get("REGISTRY_S3_CREDENTIALS_FILE", "")
    try:
        known: Any = json.loads(read(env, "REGISTRY_S3_CREDENTIALS_FILE"))
        keys = known["access_key"], known["secret_key"]
    except (ValueError, KeyError, TypeError) as exc:
        expected = 'JSON such as {"access_key": "…", "secret_key": "…"}'
        raise SettingsError(f"REGISTRY_S3_CREDENTIALS_FILE={path!r} is not {expected}.") from exc
    region, endpoint = env.get("REGISTRY_S3_REGION") or "us-east-1", url(env, "REGISTRY_S3_ENDPOINT")
    root = settle(data_folder(env), bucket, endpoint, env.get("REGISTRY_S3_ROOT"))
    return ObjectStorage(bucket, region, endpoint, *keys, root=root)
