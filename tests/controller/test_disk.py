"""The room that the platform has is that of its fullest disk."""

import shutil
from collections import namedtuple

import pytest

from controller import disk

Usage = namedtuple("Usage", "total used free")
GIB = 1 << 30


@pytest.fixture
def disks(monkeypatch, settings, tmp_path):
    """Call it with the free GiB of 100, by folder; "" is the platform's data."""
    settings.DATA_FOLDER = str(tmp_path / "secrets")

    def are(**free):
        monkeypatch.setattr(disk.os.path, "ismount", lambda folder: folder.parent == tmp_path and folder.name in free)
        monkeypatch.setattr(
            shutil, "disk_usage", lambda folder: Usage(100 * GIB, 0, free.get(str(folder).rpartition("/")[2], 50) * GIB)
        )

    return are


def test_one_disk_is_told_without_its_place(disks):
    disks()
    room = disk.room()
    assert str(room) == "50.0 of 100 GiB free" and not room.is_low


def test_the_fullest_disk_decides(disks):
    disks(builder=60, registry=4)
    room = disk.room()
    assert room.is_low and not room.is_full and str(room).endswith("/registry")
    disks(builder=0.5, registry=4)
    room = disk.room()
    assert room.is_full and str(room).startswith("0.5 of 100 GiB free in ") and str(room).endswith("/builder")
