"""The platform's own secrets, made once under `$PAAS_HOME/secrets`, readable by root only."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

KEY_FILES = ("django.key", "builder.key")
REGISTRY_CREDENTIALS = "registry.json"


def ensure(folder: Path) -> None:
    """Make what is missing; what exists is never changed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in KEY_FILES:
        write_once(folder / name, secrets.token_urlsafe(48) + "\n")
    write_once(
        folder / REGISTRY_CREDENTIALS,
        json.dumps({"username": "platform", "password": secrets.token_urlsafe(32)}) + "\n",
    )


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
