"""One copy of what many objects repeat.

`managedFields` is more than half of most objects, and nearly the same in all replicas of a workload. Objects are never
changed once stored, so equal parts of field sets can be one dictionary: the children of `f:metadata`, `f:spec` and
`f:status`, which leaves only what names the object itself.
"""

from __future__ import annotations

from typing import Any

import orjson

from orchestrator.objects.meta import Obj

_KEPT = 4096  # distinct parts
_shared: dict[bytes, dict[str, Any]] = {}


def share_field_sets(obj: Obj) -> None:
    """Rebuild the managedFields of a new object, in place, from parts that are there already."""
    entries = obj["metadata"].get("managedFields")
    if not entries:
        return
    obj["metadata"]["managedFields"] = [
        {**entry, "fieldsV1": {key: _share_children(part) for key, part in entry["fieldsV1"].items()}}
        if entry.get("fieldsV1")
        else entry
        for entry in entries
    ]


def _share_children(part: dict[str, Any]) -> dict[str, Any]:
    return {key: _share(child) for key, child in part.items()}


def _share(child: dict[str, Any]) -> dict[str, Any]:
    key = orjson.dumps(child)
    known = _shared.get(key)
    if known is not None:
        return known
    if len(_shared) >= _KEPT:
        del _shared[next(iter(_shared))]
    _shared[key] = child
    return child
