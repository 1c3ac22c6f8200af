"""Asking a program whether it is ready, and waiting until it is."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from host.errors import HostError
from host.programs import Program

PATIENCE = 60.0  # seconds for one program to become ready after the ones before it


def is_ready(target: str) -> bool:
    """Whether `target` (http://, https://, tcp:// or unix:) answers now."""
    try:
        if target.startswith("unix:"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(2)
                probe.connect(target.removeprefix("unix:"))
            return True
        parts = urlsplit(target)
        if parts.scheme == "tcp":
            socket.create_connection((parts.hostname or "", parts.port or 0), timeout=2).close()
            return True
        return _answers(parts.scheme, parts.hostname or "", parts.port or 0, parts.path)
    except (OSError, http.client.HTTPException):
        return False


def _answers(scheme: str, host: str, port: int, path: str) -> bool:
    if scheme == "https":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # a health check carries no secret
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(host, port, timeout=5, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    finally:
        connection.close()


def wait_ready(program: Program, log: Path, *, patience: float = PATIENCE) -> float:
    """Seconds until `program` was ready. Raises: HostError with the end of its log."""
    if not program.ready:
        return 0.0
    return wait_until(
        lambda: is_ready(program.ready),
        patience,
        lambda: (
            f"{program.name} was not ready within {patience:.0f} s ({program.ready}). The end of {log}:\n{tail(log)}"
        ),
    )


def wait_until(condition: Callable[[], bool], patience: float, complaint: Callable[[], str]) -> float:
    """Seconds until `condition` held. Raises: HostError(complaint()) after `patience` seconds."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > patience:
            raise HostError(complaint())
        time.sleep(0.05)
    return time.monotonic() - started


def wait_all(programs: Sequence[Program], logs: Path) -> None:
    for program in programs:
        wait_ready(program, logs / f"{program.name}.log")


def tail(log: Path, lines: int = 15) -> str:
    try:
        return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "    (no log)"
