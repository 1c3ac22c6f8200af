"""Who owns which field: server-side apply, and the bookkeeping of every other write in `metadata.managedFields`."""

from __future__ import annotations

from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj


def track_update(resource: Resource, new: Obj, old: Obj | None, *, manager: str, subresource: str, now: str) -> None:
    """Sets, in place, `new.metadata.managedFields` after a create, update or patch by `manager`."""
    if old is not None and "managedFields" in old["metadata"]:
        new["metadata"]["managedFields"] = old["metadata"]["managedFields"]
