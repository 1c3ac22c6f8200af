"""Log lines: ours as JSON on stdout, nginx's in files that are kept small."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
from pathlib import Path

LARGEST = 64 * 1024 * 1024  # bytes; one older file of this size is kept


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def start_logging() -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def rotate(path: Path, largest: int = LARGEST) -> bool:
    """Copies a file that has grown too large to `<name>.1` and empties it.

    nginx appends to it all the while and need not be told: its workers, which are not root, could not open it again.
    """
    if not path.exists() or path.stat().st_size < largest:
        return False
    shutil.copyfile(path, path.with_name(path.name + ".1"))
    with path.open("r+b") as file:
        file.truncate(0)
    return True
