"""A folder of files that changes as a whole: readers see the old set or the new one, never a mix.

Source: kubernetes pkg/volume/util/atomic_writer.go: names are links through `..data`, itself a link that is swapped.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

DATA = "..data"
FOLDER_MODE = 0o755  # containers run as anybody, whatever the umask here is


class Entry(NamedTuple):
    content: bytes
    mode: int


Payload = Mapping[str, Entry]
"""Relative path → file."""


def write_atomically(folder: Path, payload: Payload, *, group: int | None = None) -> bool:
    """Makes `folder` hold exactly `payload`; False when it did already."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)
    link = folder / DATA
    files = dict(payload) if group is None else {name: readable_by_group(entry) for name, entry in payload.items()}
    if link.is_symlink() and read_files(link) == files:
        return False
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=folder))
    fresh.chmod(FOLDER_MODE)
    for name, entry in files.items():
        path = fresh / name
        for above in reversed(path.relative_to(folder).parents[:-2]):
            (folder / above).mkdir(exist_ok=True)
            (folder / above).chmod(FOLDER_MODE)
        path.write_bytes(entry.content)
        path.chmod(entry.mode)
        if group is not None:
            os.chown(path, -1, group)
    old = os.readlink(link) if link.is_symlink() else None
    draft = folder / "..data_tmp"
    draft.unlink(missing_ok=True)
    draft.symlink_to(fresh.name)
    draft.replace(link)
    _link_names(folder, {name.partition("/")[0] for name in files})
    if old:
        shutil.rmtree(folder / old, ignore_errors=True)
    return True


def readable_by_group(entry: Entry) -> Entry:
    """Owner and group may read it, as Kubernetes has it for volumes that are mounted read-only."""
    return Entry(entry.content, entry.mode | 0o440)


def read_files(folder: Path) -> dict[str, Entry]:
    """What `write_atomically` wrote last."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            found[str(path.relative_to(folder))] = Entry(path.read_bytes(), path.stat().st_mode & 0o7777)
    return found


def _link_names(folder: Path, names: set[str]) -> None:
    """The names users see, as links into `..data`; those that left the payload go."""
    for name in names:
        path = folder / name
        if not path.is_symlink():
            path.symlink_to(f"{DATA}/{name}")
    for path in folder.iterdir():
        if not path.name.startswith("..") and path.is_symlink() and path.name not in names:
            path.unlink()
