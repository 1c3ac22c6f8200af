"""How much disk a folder takes, and how much there is: builds leave a reserve to what runs."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from builder.errors import PushRefused
from builder.progress import human

RESERVE, RESERVE_BYTES = 0.03, 1 << 30  # of a disk, at most; the controller begins no build then either
LOOK = 0.5  # seconds between looks at the room while something is built
USAGE_LOOK = 3.0  # seconds between looks at what a build takes
FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT)
NEXT = (
    "Tell an administrator: `paas gc` removes images nobody keeps, `paas doctor` says more. "
    "Push again when there is room."
)
DISK_FULL = f"The platform's disk is full: the build was stopped, and nothing of it stays. {NEXT}"


class DiskFull(PushRefused):
    """What runs needs the rest of the disk."""

    def __init__(self, room: Room, what: str) -> None:
        super().__init__(f"The platform's disk is nearly full ({room}): {what}. {NEXT}")


@dataclass(frozen=True)
class Room:
    free: int  # bytes
    total: int  # bytes

    @property
    def left(self) -> int:
        """Bytes that builds may still write."""
        return max(0, int(self.free - min(RESERVE * self.total, RESERVE_BYTES)))

    def __str__(self) -> str:
        return f"{self.free / 2**30:.2f} of {self.total / 2**30:.1f} GiB free"


def room(folder: Path) -> Room:
    usage = shutil.disk_usage(folder)
    return Room(usage.free, usage.total)


def refuse_when_full(folder: Path, what: str) -> Room:
    """Raises: DiskFull when only the reserve is left; `what` comes of it."""
    if not (there := room(folder)).left:
        raise DiskFull(there, what)
    return there


async def keep_reserve(folders: Collection[Path]) -> None:
    """For ever, until one of the disks has nothing but its reserve: raises DiskFull."""
    while True:
        for folder in folders:
            refuse_when_full(folder, "the build was stopped, and nothing of it stays")
        await asyncio.sleep(LOOK)


def too_much(limit: int) -> str:
    return f"The build was stopped: its files take more than {human(limit)} of disk (BUILD_DISK)."


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
