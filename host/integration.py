"""The few lines a platform adds outside its own folder: the `paas` command and its SSH host key for this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

from host.settings import CHECKOUT, DEFAULT_HOME, Platform

COMMAND = Path("/usr/local/bin/paas")
KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")


def ensure(platform: Platform) -> None:
    """Only the default instance touches the machine outside its folder."""
    if str(platform.home) != DEFAULT_HOME:
        return
    script = CHECKOUT / ".venv/bin/paas"
    if not COMMAND.exists() or (COMMAND.is_symlink() and _is_ours(COMMAND)):
        COMMAND.unlink(missing_ok=True)
        COMMAND.symlink_to(script)
    key = host_key(platform)
    if key and key not in _lines(KNOWN_HOSTS):
        with KNOWN_HOSTS.open("a") as file:
            file.write(key + "\n")


def remove(platform: Platform) -> None:
    if str(platform.home) != DEFAULT_HOME:
        return
    if COMMAND.is_symlink() and _is_ours(COMMAND):
        COMMAND.unlink()
    kept = [line for line in _lines(KNOWN_HOSTS) if not line.endswith(_mark(platform))]
    if KNOWN_HOSTS.exists():
        if kept:
            KNOWN_HOSTS.write_text("\n".join(kept) + "\n")
        else:
            KNOWN_HOSTS.unlink()


def host_key(platform: Platform) -> str:
    """The builder's public host key as a known_hosts line for every name the set-up prints; empty if unreadable."""
    private = platform.home / "builder" / "host_key"
    done = subprocess.run(
        ["ssh-keygen", "-y", "-f", str(private)], capture_output=True, text=True, timeout=10, check=False
    )
    words = done.stdout.split()
    if done.returncode != 0 or len(words) < 2:
        return ""
    names = [platform.domain, f"deis-builder.{platform.domain}", "localhost", "127.0.0.1"]
    hosts = ",".join(f"[{name}]:{platform.ssh_port}" for name in names)
    return f"{hosts} {words[0]} {words[1]} {_mark(platform)}"


def _mark(platform: Platform) -> str:
    return f"paas:{platform.home}"


def _is_ours(link: Path) -> bool:
    return link.readlink().name == "paas" and ".venv" in str(link.readlink())


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
