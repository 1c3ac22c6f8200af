"""The first administrator, and the operator's own sign-in that set-up uses for the example app."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

from host.command import module
from host.errors import HostError
from host.programs import base_environment, controller_environment
from host.settings import CHECKOUT, Platform

ADMIN = "admin"


def profile(platform: Platform) -> Path:
    return platform.home / "operator" / "admin.json"


def ensure_admin(platform: Platform) -> str:
    """The administrator's password when it was made just now, else empty; it is kept nowhere."""
    if profile(platform).exists():
        return ""
    return set_password(platform)


def set_password(platform: Platform) -> str:
    """Give the administrator a new random password, and sign the operator's profile in with it."""
    password = "-".join(secrets.token_hex(3) for _ in range(4))
    path = platform.home / "operator" / "password"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(password + "\n")
        manage = [
            str(CHECKOUT / "manage.py"),
            "bootstrap",
            "--username",
            ADMIN,
            "--email",
            "",
            "--password-file",
            str(path),
        ]
        module(manage, controller_environment(platform), main=False)
    finally:
        path.unlink(missing_ok=True)
    paas(platform, ["login", platform.url, f"--username={ADMIN}", "--password-stdin"], stdin=password + "\n")
    return password


def paas(
    platform: Platform, arguments: list[str], *, cwd: Path | None = None, stdin: str = "", timeout: float = 180
) -> str:
    """What our own command line printed, run as the operator. Raises: HostError with its error."""
    command = [sys.executable, "-m", "cli.main", "-c", str(profile(platform)), *arguments]
    environment = {**base_environment(os.environ), "NO_COLOR": "1"}
    done = subprocess.run(
        command, env=environment, cwd=cwd or platform.home, input=stdin, capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise HostError(f"`paas {' '.join(arguments)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
