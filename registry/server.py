"""The Distribution server's configuration and password file, and its command line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import bcrypt
import yaml

from registry.errors import RegistryError
from registry.settings import Settings

BINARIES = ("docker-registry", "registry")  # Debian's name, upstream's name
BCRYPT_ROUNDS = 4  # checked on every request of a generated 256-bit password: a higher cost buys nothing
LAYER_TYPES = (  # pushes of parts of an image are nobody's business
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.config.v1+json",
)
STORAGE_CHECK = "30s"


def render_config(settings: Settings) -> str:
    """config.yml for Distribution 2.x."""
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "warn", "formatter": "text", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(settings.data / "images"), "maxthreads": 100},
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": True, "age": "24h", "interval": "12h", "dryrun": False}},
        },
        "http": {"addr": settings.listen, "headers": {"X-Content-Type-Options": ["nosniff"]}},
        "auth": {"htpasswd": {"realm": "paas", "path": str(settings.data / "htpasswd")}},
        "health": {"storagedriver": {"enabled": True, "interval": STORAGE_CHECK, "threshold": 3}},
    }
    if settings.notify_url:
        config["notifications"] = {"endpoints": [notified(settings)]}
    return yaml.safe_dump(config, sort_keys=False)


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


def render_htpasswd(username: str, password: str, known: str = "") -> str:
    """The password file; `known` is returned as it is while it still fits, so nothing changes without need."""
    name, _, hashed = known.strip().partition(":")
    if name == username and hashed and bcrypt.checkpw(password.encode(), hashed.encode()):
        return known
    fresh = bcrypt.hashpw(password.encode(), bcrypt.gensalt(BCRYPT_ROUNDS)).decode()
    return f"{username}:{fresh}\n"


def write(settings: Settings) -> Path:
    """Write both files; the path of config.yml."""
    (settings.data / "images").mkdir(parents=True, exist_ok=True, mode=0o700)
    password_file = settings.data / "htpasswd"
    known = password_file.read_text() if password_file.exists() else ""
    replace(password_file, render_htpasswd(settings.username, settings.password, known))
    config = settings.data / "config.yml"
    replace(config, render_config(settings))
    return config


def replace(path: Path, text: str) -> None:
    """Put `text` at `path` in one step, readable by the owner alone."""
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.rename(path)


def serve_command(config: Path) -> list[str]:
    """argv of the server. Raises: RegistryError when it isn't installed."""
    for name in BINARIES:
        if binary := shutil.which(name):
            return [binary, "serve", str(config)]
    raise RegistryError("The Distribution server isn't installed: apt-get install docker-registry")


def serve(settings: Settings) -> None:
    """Become the server."""
    command = serve_command(write(settings))
    os.execv(command[0], command)
