"""`app.json`: handed to the controller as it is, which knows its fields. Pure but for reading the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from builder.errors import BuildFailed
from builder.snapshot import read_inside

NAME = "app.json"
MAX_BYTES = 64 * 1024


def load(app: Path) -> dict[str, Any] | None:
    """The object in the app's app.json; None when it has none.

    Raises: BuildFailed saying what keeps the file from being read.
    """
    try:
        raw = read_inside(app, NAME, MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    if len(raw) > MAX_BYTES:
        raise BuildFailed(f"{NAME} is larger than {MAX_BYTES // 1024} KiB.")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        raise BuildFailed(f"{NAME} is not JSON: {exc}") from exc
    if not isinstance(document, dict):
        raise BuildFailed(f"{NAME} must hold an object, such as {{}}.")
    return document
