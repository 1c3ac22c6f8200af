"""What the operator chose by environment variable at some `make up`, kept for the next one, which isn't told again.

Without it a `make up` or `make backup` from another shell would go back to the defaults: to an empty SQLite database
beside the PostgreSQL one, or to open registration.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from host.operator_settings import read

FILE = "choices.env"  # in PAAS_HOME; may hold a database's password
KEPT = ("PAAS_DATABASE_URL", "PAAS_REGISTRATION", "PAAS_LOG_DAYS", "PAAS_LOG_MEGABYTES", "PAAS_LOG_LINES_PER_SECOND")


def recall(home: Path, environ: MutableMapping[str, str]) -> None:
    """Put what was chosen before into `environ`, where that says nothing itself. Raises: HostError naming the line."""
    for name, value in read(home / FILE, KEPT).items():
        environ.setdefault(name, value)


def remember(home: Path, environ: Mapping[str, str]) -> None:
    """Keep what `environ` says; a variable that is set to nothing goes back to its default."""
    lines = [f"{name}={environ[name]}\n" for name in KEPT if environ.get(name)]
    if not lines and not (home / FILE).exists():
        return
    partial = home / f"{FILE}.partial"
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(lines)
    os.replace(partial, home / FILE)
