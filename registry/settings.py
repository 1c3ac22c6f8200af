"""The registry's settings, read from the environment once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from registry.errors import SettingsError


@dataclass(frozen=True)
class Settings:
    data: Path  # configuration and images
    listen: str  # host:port
    username: str
    password: str = field(repr=False)
    notify_url: str = ""  # hears of every push; empty: nobody does
    notify_key: str = field(default="", repr=False)


def load(env: Mapping[str, str] = os.environ) -> Settings:
    """Raises: SettingsError naming the variable."""
    for name in ("REGISTRY_DATA", "REGISTRY_CREDENTIALS_FILE"):
        if not env.get(name):
            raise SettingsError(f"{name} is not set.")
    listen = env.get("REGISTRY_LISTEN") or "127.0.0.1:5000"
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise SettingsError(f"REGISTRY_LISTEN={listen!r} is not host:port.")
    path = env["REGISTRY_CREDENTIALS_FILE"]
    try:
        credentials = json.loads(Path(path).read_text())
        login = (credentials["username"], credentials["password"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise SettingsError(f"{path} is not JSON with username and password: {exc}") from exc
    key_file = env.get("REGISTRY_NOTIFY_KEY_FILE", "")
    try:
        key = Path(key_file).read_text().strip() if key_file else ""
    except OSError as exc:
        raise SettingsError(f"REGISTRY_NOTIFY_KEY_FILE={key_file!r} can't be read: {exc.strerror}") from exc
    return Settings(Path(env["REGISTRY_DATA"]).absolute(), listen, *login, env.get("REGISTRY_NOTIFY_URL", ""), key)
