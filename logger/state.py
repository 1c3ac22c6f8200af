"""The few things that lines themselves don't tell, in one small file that is replaced whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class State:
    """Where we are in the controller's events, the router's log, and each drain; written at most once a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.events_after: int = 0
        self.router: list[int] = [0, 0]  # inode, offset
        self.drains: dict[str, str] = {}  # drain → time of the newest line it took
        self.directory: dict[str, Any] = {}  # the controller's last word on apps
        self._written = ""
        try:
            loaded = json.loads(path.read_text())
        except (OSError, ValueError):
            return
        self.events_after = int(loaded.get("events_after", 0))
        self.router = list(loaded.get("router", [0, 0]))
        self.drains = dict(loaded.get("drains", {}))
        self.directory = dict(loaded.get("directory", {}))
        self._written = self._text()

    def save(self) -> None:
        """Raises: OSError."""
        text = self._text()
        if text == self._written:
            return
        partial = self._path.with_suffix(".partial")
        partial.write_text(text)
        partial.chmod(0o600)  # drains may have credentials in their addresses
        partial.replace(self._path)
        self._written = text

    def _text(self) -> str:
        names = ("events_after", "router", "drains", "directory")
        return json.dumps({name: getattr(self, name) for name in names})
