"""How much disk a folder takes."""

from __future__ import annotations

import os
from pathlib import Path


def disk_usage(root: Path, enough: int) -> int:
    """Bytes on disk below `root`; counting stops once it is more than `enough`."""
    total, folders = 0, [str(root)]
    while folders and total <= enough:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    info = entry.stat(follow_symlinks=False)
                    total += info.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except OSError:
            continue
    return total
