"""What the operator sets for the controller in `$PAAS_HOME/controller.env`: mail, sign-in elsewhere, deploy hooks."""

from __future__ import annotations

from pathlib import Path

from host.errors import HostError

FILE = "controller.env"
KNOWN = (
    "SMTP_URL", "MAIL_FROM", "OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_NAME", "OIDC_REGISTER",
    "DEPLOY_HOOK_URLS", "DEPLOY_HOOK_SECRET", "WEBHOOKS_TO_PRIVATE_ADDRESSES",
)  # fmt: skip


def operator_settings(home: Path) -> dict[str, str]:
    """The variables of the file; none when there is no file. Raises: HostError naming the line."""
    try:
        lines = (home / FILE).read_text().splitlines()
    except FileNotFoundError:
        return {}
    found = {}
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or name not in KNOWN:
            raise HostError(f"{home / FILE}, line {number}: write NAME=value; the names are {', '.join(KNOWN)}.")
        found[name] = value
    return found
