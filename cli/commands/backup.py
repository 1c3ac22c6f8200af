"""The whole platform in one file, and back. Both run on the platform's own machine, by its set-up program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cli.errors import CliError
from cli.session import Session
from cli.table import Arg, command

CHECKOUT = Path(__file__).resolve().parents[2]


@command(
    "backup:make",
    "Back up the whole platform into a file while it runs (on its machine, as root)",
    "paas backup /root/paas.tar",
    args=(Arg("file", "made by this; it holds every secret of the platform"),),
    bare=True,
)
def back_up(session: Session, file: str) -> int:
    return set_up("backup", file)


@command(
    "backup:restore",
    "Make a platform from a backup, on an empty machine (as root)",
    "paas restore /root/paas.tar",
    args=(Arg("file", "what `paas backup` made"),),
)
def restore(session: Session, file: str) -> int:
    return set_up("restore", file)


def set_up(verb: str, file: str) -> int:
    """The exit code of the set-up program of this checkout. Raises: CliError elsewhere."""
    if not (CHECKOUT / "host" / f"{verb}.py").exists():
        raise CliError(f"`paas {verb}` works on the platform's own machine alone, where it is installed by `make up`.")
    return subprocess.call([sys.executable, "-m", "host", verb, str(Path(file).absolute())], cwd=CHECKOUT)
