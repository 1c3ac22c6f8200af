"""The Distribution server's configuration, written out for it."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import yaml

from registry.settings import ObjectStorage, Settings

SERVICE, ISSUER = "paas-registry", "paas-controller"  # controller/registry_tokens.py writes them into tokens
LAYER_TYPES = (  # pushes of parts of an image are nobody's business
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.config.v1+json",
)
STORAGE_CHECK = "30s"


def render_config(settings: Settings, secret: str = "", *, read_only: bool = False) -> str:
    """config.yml for Distribution 2.x; with the same `secret` an upload goes on after a restart."""
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "warn", "formatter": "text", "accesslog": {"disabled": True}},
        "storage": {
            **storage(settings),
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": True},
            "maintenance": {
                "uploadpurging": {"enabled": True, "age": "24h", "interval": "12h", "dryrun": False},
                "readonly": {"enabled": read_only},
            },
        },
        "http": {
            "addr": settings.listen,
            "secret": secret,
            "draintimeout": "10s",
            "headers": {"X-Content-Type-Options": ["nosniff"]},
        },
        "health": {"storagedriver": {"enabled": True, "interval": STORAGE_CHECK, "threshold": 3}},
    }
    if settings.token_certificate:
        config["auth"] = {
            "token": {
                "realm": settings.token_realm,
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(settings.token_certificate),
            }
        }
    if settings.notify_url:
        config["notifications"] = {"endpoints": [notified(settings)]}
    if settings.remote_url:
        config["proxy"] = {"remoteurl": settings.remote_url}
    text: str = yaml.safe_dump(config, sort_keys=False)
    return text


def storage(settings: Settings) -> dict[str, Any]:
    if settings.object_storage:
        return s3(settings.object_storage)
    return {"filesystem": {"rootdirectory": str(settings.data / "images"), "maxthreads": 100}}


def s3(bucket: ObjectStorage) -> dict[str, Any]:
    options: dict[str, Any] = {
        "bucket": bucket.bucket,
        "region": bucket.region,
        "accesskey": bucket.access_key,
        "secretkey": bucket.secret_key,
    }
    if bucket.root:
        options["rootdirectory"] = f"/{bucket.root}"
    if bucket.endpoint:
        options |= {"regionendpoint": bucket.endpoint, "secure": bucket.endpoint.startswith("https:")}
    # Engines fetch from us, who may be the only one to reach the bucket.
    return {"s3": options, "redirect": {"disable": True}}


def notified(settings: Settings) -> dict[str, Any]:
    """Who hears of pushes; an event is sent again until it is taken, in order, as long as the server runs."""
    return {
        "name": "controller",
        "url": settings.notify_url,
        "headers": {"X-Deis-Builder-Auth": [settings.notify_key]},
        "timeout": "5s",
        "threshold": 5,
        "backoff": "2s",
        "ignoredmediatypes": ["application/octet-stream", *LAYER_TYPES],
    }


def write(settings: Settings, *, read_only: bool = False) -> Path:
    """Write the configuration, the one for a time without writes beside the usual; its path."""
    (settings.data / "images").mkdir(parents=True, exist_ok=True, mode=0o700)
    config = settings.data / ("read-only.yml" if read_only else "config.yml")
    replace(config, render_config(settings, kept_secret(settings.data / "http.secret"), read_only=read_only))
    return config


def kept_secret(path: Path) -> str:
    if not path.exists():
        replace(path, secrets.token_urlsafe(32))
    return path.read_text()


def replace(path: Path, text: str) -> None:
    """Put `text` at `path` in one step, readable by the owner alone."""
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.rename(path)
