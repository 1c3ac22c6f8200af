"""Stopping and starting the whole platform loses nothing. Runs last: it takes everyone's platform down."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from host.settings import CHECKOUT, Platform
from tests.e2e.developer import Developer, until

Example = tuple[str, Path]


def host(platform: Platform, *arguments: str) -> float:
    started = time.monotonic()
    environment = {**os.environ, "PAAS_HOME": str(platform.home)}
    command = [sys.executable, "-m", "host", *arguments]
    done = subprocess.run(
        command, env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - started


def test_every_app_is_back_with_its_releases_and_config(
    admin: Developer, platform: Platform, example_app: Example
) -> None:
    name, _ = example_app
    admin.paas("config:set", "GREETING=still here", "-a", name)
    releases = admin.paas("releases", "-a", name).stdout
    host(platform, "down")
    host(platform, "up", "--no-example")
    until(lambda: admin.ask(name).status == 200, 60)
    assert "still here" in admin.ask(name).body
    assert admin.paas("releases", "-a", name).stdout == releases


def test_a_second_up_changes_nothing(admin: Developer, platform: Platform, example_app: Example) -> None:
    name, _ = example_app
    before = admin.paas("ps", "-a", name).stdout
    host(platform, "up", "--no-example")
    assert admin.paas("ps", "-a", name).stdout == before
