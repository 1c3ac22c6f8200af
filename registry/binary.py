"""Where the Distribution server is."""

from __future__ import annotations

import shutil

from registry.errors import RegistryError

BINARIES = ("docker-registry", "registry")  # Debian's name, upstream's name


def find() -> str:
    """Path of the server. Raises: RegistryError when it isn't installed."""
    for name in BINARIES:
        if found := shutil.which(name):
            return found
    raise RegistryError("The Distribution server isn't installed: apt-get install docker-registry")
