"""What the operator sets in `$PAAS_HOME/controller.env` and `registry.env`, a `NAME=value` a line."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from host.errors import HostError

CONTROLLER = (
    "SMTP_URL", "MAIL_FROM", "OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_NAME", "OIDC_REGISTER",
    "DEPLOY_HOOK_URLS", "DEPLOY_HOOK_SECRET", "KEEP_IMAGES", "COLLECT_HOUR", "WEBHOOKS_TO_PRIVATE_ADDRESSES",
    "SSL_CERT_FILE",
)  # fmt: skip
REGISTRY = (
    "REGISTRY_S3_BUCKET", "REGISTRY_S3_REGION", "REGISTRY_S3_ENDPOINT", "REGISTRY_S3_CREDENTIALS_FILE",
    "REGISTRY_S3_ROOT",
    "REGISTRY_REMOTE_URL", "REGISTRY_CACHE_LISTEN",
)  # fmt: skip


def controller_settings(home: Path) -> dict[str, str]:
    """Raises: HostError naming the line."""
    return read(home / "controller.env", CONTROLLER)


def registry_settings(home: Path) -> dict[str, str]:
    """Raises: HostError naming the line, or what is missing."""
    found = read(home / "registry.env", REGISTRY)
    if bool(found.get("REGISTRY_REMOTE_URL")) != bool(found.get("REGISTRY_CACHE_LISTEN")):
        raise HostError(
            f"{home / 'registry.env'}: REGISTRY_REMOTE_URL and REGISTRY_CACHE_LISTEN belong together: the registry to "
            "keep copies of, and 127.0.0.1:PORT where the copies are served."
        )
    return found


def read(path: Path, known: Collection[str]) -> dict[str, str]:
    """The variables of the file; none when there is no file."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    found = {}
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or name not in known:
            raise HostError(f"{path}, line {number}: write NAME=value; the names are {', '.join(known)}.")
        found[name] = value
    return found
