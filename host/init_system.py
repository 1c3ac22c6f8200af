"""Starting with the machine, where systemd is its init: a unit that runs `python -m host start` at boot.

The unit only starts and stops; supervisord keeps the programs running here as everywhere else, so there is one way in
which a program comes back. Elsewhere the machine's own start-up has to call `make up`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from host.settings import CHECKOUT, DEFAULT_HOME, Platform

UNIT = Path("/etc/systemd/system/paas.service")
DEADLINE = 150  # seconds for systemd to start or stop the unit


def is_used(platform: Platform) -> bool:
    """Only the default instance starts with the machine."""
    return Path("/run/systemd/system").is_dir() and str(platform.home) == DEFAULT_HOME


def render_unit(platform: Platform, python: str) -> str:
    return f"""[Unit]
Description=The paas platform
Documentation=file:{CHECKOUT}/docs/operating.md
Wants=network-online.target
After=network-online.target docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
WorkingDirectory={CHECKOUT}
Environment=PAAS_HOME={platform.home}
ExecStart={python} -m host start
ExecStop={python} -m host down
KillMode=process
TimeoutStartSec={DEADLINE}
TimeoutStopSec={DEADLINE}

[Install]
WantedBy=multi-user.target
"""


def ensure(platform: Platform) -> None:
    """Write and enable the unit."""
    if not is_used(platform):
        return
    text = render_unit(platform, sys.executable)
    if not UNIT.exists() or UNIT.read_text() != text:
        UNIT.write_text(text)
        _systemctl("daemon-reload")
        _systemctl("enable", UNIT.name)


def start() -> None:
    """Start the platform as the unit does at boot, outside the caller's session; nothing when it counts as up."""
    _systemctl("start", UNIT.name)


def remove(platform: Platform) -> None:
    if is_used(platform) and UNIT.exists():
        _systemctl("disable", "--now", UNIT.name)  # its stop finds nothing left to stop
        UNIT.unlink()
        _systemctl("daemon-reload")


def _systemctl(*arguments: str) -> None:
    subprocess.run(["systemctl", *arguments], capture_output=True, timeout=DEADLINE, check=True)
