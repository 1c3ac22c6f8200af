"""Running one of the platform's own commands to its end."""

from __future__ import annotations

import os
import subprocess
import sys

from host.errors import HostError
from host.programs import base_environment
from host.settings import CHECKOUT


def module(arguments: list[str], environment: dict[str, str], *, main: bool = True, timeout: float = 120) -> None:
    """Run one of our programs to its end. Raises: HostError with what it printed."""
    command = [sys.executable, *(["-m"] if main else []), *arguments]
    env = {**base_environment(os.environ), **environment}
    done = subprocess.run(command, env=env, cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        output = (done.stdout + done.stderr).strip().splitlines()[-15:]
        raise HostError(f"`{' '.join(arguments)}` failed:\n    " + "\n    ".join(output))
