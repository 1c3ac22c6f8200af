"""How full the disk of the platform's data is."""

import shutil
from dataclasses import dataclass

from django.conf import settings

LOW = 0.10  # of the disk free, or less than LOW_BYTES: time to do something
FULL = 0.03  # … or less than FULL_BYTES: builds are refused, so that what runs can go on writing
LOW_BYTES, FULL_BYTES = 5 << 30, 1 << 30
RECOVERED = 1.5  # times what counts as low must be free until a low disk counts as well again


@dataclass(frozen=True)
class Room:
    free: int  # bytes
    total: int  # bytes

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
        return f"{self.free / 2**30:.1f} of {self.total / 2**30:.0f} GiB free"


def room() -> Room:
    usage = shutil.disk_usage(settings.DATA_FOLDER)
    return Room(usage.free, usage.total)
