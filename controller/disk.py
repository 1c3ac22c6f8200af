"""How full the disk of the platform's data is; doctor, alarms and the refusal of builds read it here."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

LOW = 0.10  # of the disk free, or less than LOW_BYTES: time to do something
FULL = 0.03  # … or less than FULL_BYTES: builds are refused, so that what runs can go on writing
LOW_BYTES, FULL_BYTES = 5 << 30, 1 << 30
FILLING = ("builder", "registry")  # folders of the platform's home
RECOVERED = 1.5  # times what counts as low must be free until a low disk counts as well again


@dataclass(frozen=True)
class Room:
    free: int  # bytes
    total: int  # bytes
    where: str = ""  # the folder, if it is a disk of its own

    @property
    def is_low(self) -> bool:
        return self.free < min(LOW * self.total, LOW_BYTES)

    @property
    def has_recovered(self) -> bool:
        """Far enough from low that a few files more don't make it low again."""
        return self.free >= RECOVERED * min(LOW * self.total, LOW_BYTES)

    @property
    def is_full(self) -> bool:
        return self.free < min(FULL * self.total, FULL_BYTES)

    def __str__(self) -> str:
        place = f" in {self.where}" if self.where else ""
        return f"{self.free / 2**30:.1f} of {self.total / 2**30:.0f} GiB free{place}"


def room() -> Room:
    """Of the disk with the platform's data; of the fullest, when programs have disks of their own."""
    usage = shutil.disk_usage(settings.DATA_FOLDER)
    rooms = [Room(usage.free, usage.total), *own_disks(Path(settings.DATA_FOLDER))]
    return min(rooms, key=lambda one: (not one.is_full, not one.is_low, one.free / max(one.total, 1)))


def own_disks(data: Path) -> list[Room]:
    """Of the folders beside or below `data` that fill with builds and images and are mounted from elsewhere."""
    found = []
    for folder in (parent / name for parent in (data, data.parent) for name in FILLING):
        if os.path.ismount(folder):
            usage = shutil.disk_usage(folder)
            found.append(Room(usage.free, usage.total, str(folder)))
    return found
