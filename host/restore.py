"""`make restore FILE=…`: a platform from its backup, in an empty folder, then `make up`.

Ports may be others than before (`PAAS_HTTP_PORT=…`, as at the first `make up`). Images are named by the registry's
address, so these names are changed in database and store.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from host import choices, postgres, say, settings
from host.backup import DATABASE, DUMP, FORMAT, MANIFEST, STORE
from host.errors import HostError
from host.settings import Platform

NODE_BOUND = ("nodes", "leases", "pods", "endpoints", "endpointslices")  # of a machine that isn't there any more


def restore(home: Path, source: Path) -> Platform:
    """Unpack and check `source`, and fit it to this machine. Raises: HostError; then `home` is left as it was."""
    if home.exists() and any(path.name != ".lock" for path in home.iterdir()):
        raise HostError(f"{home} isn't empty: restore into an empty one, or remove it first (`make destroy`).")
    say.step(f"Restoring {source} into {home}")
    work = home.with_name(home.name + ".restoring")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700, parents=True)
    try:
        manifest = unpack(source, work)
        choices.recall(work, os.environ)
        platform = fit(work, manifest)
        if url := database_for(manifest, os.environ):
            fill_database(url, work, manifest, platform)
        shutil.rmtree(home, ignore_errors=True)
        os.replace(work, home)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    say.detail(f"{len(manifest['files'])} files of {manifest['made']}, each as it was backed up")
    return dataclasses.replace(platform, home=home)


def manifest_of(work: Path, source: Path) -> dict[str, Any]:
    """What the unpacked archive says of itself. Raises: HostError."""
    try:
        manifest = json.loads((work / MANIFEST).read_text())
        if isinstance(manifest, dict) and isinstance(manifest["files"], dict) and "format" in manifest:
            return manifest
    except (OSError, ValueError, KeyError):
        pass
    raise HostError(f"{source} is no backup of this platform (it has no {MANIFEST}); nothing was restored.")


def unpack(source: Path, work: Path) -> dict[str, Any]:
    """The manifest, once every file is there and has the sum it says. Raises: HostError."""
    if not source.is_file():
        raise HostError(f"There is no file {source}; nothing was restored.")
    if not tarfile.is_tarfile(source):
        raise HostError(f"{source} is no backup: it is no tar file. Nothing was restored.")
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                unpack_file(archive, member, work)
    except (OSError, tarfile.TarError, ValueError) as exc:
        raise HostError(f"{source} is no whole backup ({exc}); nothing was restored.") from exc
    manifest = manifest_of(work, source)
    if manifest["format"] != FORMAT:
        raise HostError(f"{source} has format {manifest['format']}; this version reads {FORMAT}. Nothing was restored.")
    (work / MANIFEST).unlink()
    for name, wanted in manifest["files"].items():
        path = work / name
        found = hashlib.file_digest(path.open("rb"), "sha256").hexdigest() if path.is_file() else "nothing"
        if found != wanted:
            raise HostError(f"{source} is damaged: {name} isn't what was backed up. Nothing was restored.")
    return manifest


def unpack_file(archive: tarfile.TarFile, member: tarfile.TarInfo, work: Path) -> None:
    """A backup has plain files below its own folder and nothing else. Raises: TarError."""
    path = work / member.name
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or ".." in path.parts or not path.is_relative_to(work):
        raise tarfile.TarError(f"{member.name} is no file of a backup")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with content, path.open("xb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(member.mode & 0o700)


def fit(work: Path, manifest: dict[str, Any]) -> Platform:
    """The platform as this machine has it: its ports, its engine, its name."""
    before = settings.load(work)
    assert before is not None
    chosen: dict[str, Any] = {
        name: int(os.environ[variable]) for name, variable in settings.CHOICES.items()
        if name in settings.PORTS and os.environ.get(variable)
    }  # fmt: skip
    platform = dataclasses.replace(before, docker_host="", engine_can_exec=None, **chosen)
    for name in settings.PORTS:
        if not settings.is_free(getattr(platform, name)):
            port = getattr(platform, name)
            raise HostError(f"Port {port} is taken here; choose another: {settings.CHOICES[name]}=… make restore.")
    platform.save()
    old, new = manifest["registry_host"], platform.registry_host
    if old != new:
        if (work / DATABASE).exists():
            rename_in_database(work / DATABASE, old, new)
        if (work / STORE).exists():
            rename_in_store(work / STORE, old, new)
    if manifest["node"] != platform.node_name and (work / STORE).exists():
        forget_nodes(work / STORE)
    profile = work / "operator" / "admin.json"
    if profile.exists():
        profile.write_text(profile.read_text().replace(before.url, platform.url))
    return platform


def database_for(manifest: dict[str, Any], environ: Mapping[str, str]) -> str:
    """The PostgreSQL that the backup's database goes into; empty for SQLite's, which is a file of the backup.

    Raises: HostError when the backup is of the other kind than PAAS_DATABASE_URL.
    """
    url, held = postgres.url_of(environ), manifest.get("postgresql")
    if held and not url:
        raise HostError(
            f"The backup holds a database of PostgreSQL {held}: name an empty one, "
            "PAAS_DATABASE_URL=postgres://user:password@host/name make restore FILE=…"
        )
    if url and not held:
        raise HostError(
            "The backup holds a SQLite database, and PAAS_DATABASE_URL is PostgreSQL: restore without that variable."
        )
    return url


def fill_database(url: str, work: Path, manifest: dict[str, Any], platform: Platform) -> None:
    """Raises: HostError; then the database is as empty as before."""
    postgres.load(url, work / DUMP, manifest["postgresql"])
    (work / DUMP).unlink()
    if manifest["registry_host"] != platform.registry_host:
        postgres.rename_images(url, manifest["registry_host"], platform.registry_host)


def rename_in_database(database: Path, old: str, new: str) -> None:
    """Images in `old/` are in `new/` from now on, in the controller's records."""
    with sqlite3.connect(database) as rows:
        for table, column in image_columns(rows):
            changed = f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?) WHERE "{column}" LIKE ?'
            rows.execute(changed, (f"{old}/", f"{new}/", f"%{old}/%"))
    rows.close()


def rename_in_store(store: Path, old: str, new: str) -> None:
    """The same in every stored object of the cluster."""
    with sqlite3.connect(store) as log:
        for revision, resource, value in log.execute("SELECT revision, resource, value FROM log").fetchall():
            renamed = renamed_object(resource, bytes(value), old, new)
            if renamed != value:
                log.execute("UPDATE log SET value = ? WHERE revision = ?", (renamed, revision))
    log.close()


def image_columns(rows: sqlite3.Connection) -> list[tuple[str, str]]:
    """The columns of the controller's tables that hold names of images."""
    return [
        (table, column[1])
        for (table,) in rows.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall()
        for column in rows.execute(f'PRAGMA table_info("{table}")')
        if column[1] == "image"
    ]


def renamed_object(resource: str, value: bytes, old: str, new: str) -> bytes:
    """A stored object with its images renamed; pull credentials name the registry in an encoded document."""
    value = value.replace(f"{old}/".encode(), f"{new}/".encode())
    if not resource.endswith("secrets") or b".dockerconfigjson" not in value:
        return value
    found = json.loads(value)
    for key, encoded in (found.get("data") or {}).items():
        if key == ".dockerconfigjson":
            plain = base64.b64decode(encoded).replace(old.encode(), new.encode())
            found["data"][key] = base64.b64encode(plain).decode()
    return json.dumps(found, separators=(",", ":")).encode()


def forget_nodes(store: Path) -> None:
    """The machine that was backed up isn't this one: its nodes and the pods on them are not restored."""
    with sqlite3.connect(store) as log:
        for name in NODE_BOUND:
            log.execute("DELETE FROM log WHERE resource = ? OR resource LIKE ?", (name, f"%/{name}"))
    log.close()
