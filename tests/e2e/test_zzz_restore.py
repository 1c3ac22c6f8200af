"""A platform restored from its backup, in another folder and under other ports, runs its apps. After all the others."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from host import settings
from host.settings import CHECKOUT, PORTS, Platform
from tests.e2e.developer import Developer, until

Example = tuple[str, Path]


def host(environment: dict[str, str], *arguments: str) -> None:
    command = [sys.executable, "-m", "host", *arguments]
    done = subprocess.run(
        command, env={**os.environ, **environment}, cwd=CHECKOUT, capture_output=True, text=True, timeout=400,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def page(platform: Platform, app: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", platform.http_port, timeout=30)
    try:
        connection.request("GET", "/", headers={"Host": f"{app}.{platform.domain}"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For a platform's sockets: pytest's own folders have names too long for the engine's."""
    with tempfile.TemporaryDirectory(prefix="paas-") as folder:
        yield Path(folder)


def test_an_app_answers_on_the_restored_platform(
    admin: Developer, platform: Platform, example_app: Example, short_folder: Path
) -> None:
    name, _ = example_app
    admin.paas("config:set", "GREETING=from the backup", "-a", name)
    here, file, taken = {"PAAS_HOME": str(platform.home)}, short_folder / "backup.tar", set[int]()
    there = {"PAAS_HOME": str(short_folder / "restored")}
    for port in PORTS:
        taken.add(free := settings.next_free_port(19000, taken))
        there[f"PAAS_{port.upper()}"] = str(free)
    host(here, "backup", str(file))
    host(here, "down")  # one machine has one of a range of addresses
    try:
        host(there, "restore", str(file))
        restored = settings.load(short_folder / "restored")
        assert restored is not None and restored.registry_port != platform.registry_port
        until(lambda: "from the backup" in page(restored, name), 60)
    finally:
        host(there, "destroy")
        host(here, "up", "--no-example")
    until(lambda: admin.ask(name).status == 200, 60)
