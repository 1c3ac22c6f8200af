"""The platform that measurements run on: `PAAS_HOME` when it holds one, as `make up` left it."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from host import operator, settings
from host.settings import Platform
from tests.e2e.developer import Developer


def running_platform() -> Platform:
    """Raises: RuntimeError when there is none."""
    platform = settings.load(settings.home_from_environment())
    if platform is None:
        raise RuntimeError("no platform runs here: `make up` first (or name one by PAAS_HOME)")
    return platform


@contextmanager
def example_app() -> Iterator[tuple[Developer, str, Path]]:
    """The Python example, pushed under a name of its own by a user of its own; destroyed afterwards."""
    platform = running_platform()
    name, user, password = f"bench-{secrets.token_hex(3)}", f"bench-{secrets.token_hex(3)}", secrets.token_hex(12)
    operator.paas(
        platform,
        [
            "register",
            platform.url,
            f"--username={user}",
            f"--password={password}",
            f"--email={user}@example.test",
            "--login=false",
        ],
    )
    with tempfile.TemporaryDirectory(prefix="paas-bench-") as home:
        developer = Developer(platform, Path(home), user, password)
        developer.paas("keys:add", user, f"{home}/key.pub")
        folder = developer.example(name)
        developer.paas("create", name, cwd=folder)
        try:
            developer.push(folder)
            yield developer, name, folder
        finally:
            developer.paas("destroy", "-a", name, f"--confirm={name}", ok=False)
            developer.paas("auth:cancel", f"--username={user}", f"--password={password}", "--yes", ok=False)
            os.sync()
