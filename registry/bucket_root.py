"""Where in a bucket this platform keeps its images: a folder of its own, so that platforms which share a bucket don't
collect each other's.

Which one is written down beside the registry's configuration when a bucket is first used, and goes into backups. A
platform that used the bucket before there were such folders stays at its top.
"""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

import yaml

from registry.errors import SettingsError

KEPT = "bucket-roots.json"
TOP = ""
FORM = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*)?")


def settle(data: Path, bucket: str, endpoint: str, named: str | None = None) -> str:
    """The folder in `bucket` for the registry whose configuration is in `data`; `named` is the operator's choice,
    "" the bucket's top.

    Raises: SettingsError when it is no folder, or another one than holds the images already.
    """
    if named is not None and not FORM.fullmatch(named):
        raise SettingsError(f"REGISTRY_S3_ROOT={named!r} is not a folder's name such as paas/production.")
    path, place = data / KEPT, f"{endpoint.rstrip('/') or 's3'} {bucket}"
    kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if place not in kept:
        used = used_before(data / "config.yml", bucket, endpoint)
        mine = named if named is not None else f"paas-{secrets.token_hex(6)}"
        keep(path, {**kept, place: mine if used is None else used})
        kept = json.loads(path.read_text())
    root = kept[place]
    if named is not None and named != root:
        raise SettingsError(
            f"REGISTRY_S3_ROOT={named!r}: this platform's images are in {root or 'the top'!r} of the bucket {bucket}. "
            f"Move them there and correct {path}, or take the line out of registry.env."
        )
    return root


def keep(path: Path, roots: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(roots, indent=1) + "\n")
    fresh.rename(path)


def used_before(config: Path, bucket: str, endpoint: str) -> str | None:
    """The folder in which an earlier configuration of ours kept its images in that bucket, or None."""
    try:
        known: Any = yaml.safe_load(config.read_text())
        options = known["storage"]["s3"]
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return None
    if (options.get("bucket"), options.get("regionendpoint", "")) != (bucket, endpoint):
        return None
    return str(options.get("rootdirectory") or TOP).strip("/")
