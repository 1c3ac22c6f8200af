"""UPDATE, and the common end of everything that changes an existing object."""

from __future__ import annotations

from orchestrator import errors
from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.create import check_identity
from orchestrator.objects import kinds
from orchestrator.objects.defaults import apply_defaults
from orchestrator.objects.meta import Obj
from orchestrator.objects.strategy import prepare_update
from orchestrator.store.record import Missing, Record, Stale

GRACEFUL = {kinds.PODS.storage_key}
"""Kinds that are deleted in two steps: a deletionTimestamp first, the removal when their agent is done."""


async def update(api: Api, call: Call, obj: Obj) -> Record:
    """Replace the object. `obj` is the caller's own copy and is changed.

    Raises: NotFound, Conflict, Invalid, BadRequest.
    """
    check_identity(call, obj)
    meta = obj["metadata"]
    if meta.setdefault("name", call.name) != call.name:
        raise errors.BadRequest(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({call.name})"
        )
    old = api.store.latest(call.resource.storage_key, call.key)
    if old is None:
        raise refusals.not_found(call.resource, call.name)
    return await write(api, call, old, obj)


async def write(api: Api, call: Call, old: Record, new: Obj) -> Record:
    """Bring `new`, made from `old`, into the store; the old record when nothing changes.

    Nothing is awaited between the caller's `latest` and the store's write, so it cannot conflict with another writer.
    """
    _check_preconditions(call, old, new)
    new["metadata"].pop("selfLink", None)
    apply_defaults(call.resource, new)
    prepare_update(call.resource, new, old.obj, call.subresource)
    meta = new["metadata"]
    meta["resourceVersion"] = old.obj["metadata"]["resourceVersion"]
    if new == old.obj:
        return old
    if call.dry_run:
        return Record(old.resource, old.key, old.revision, new)
    try:
        if is_finished(call, new):
            return await api.store.delete(old.resource, old.key, expect=old.revision, final=new)
        return await api.store.update(old.resource, old.key, new, expect=old.revision)
    except Stale as exc:
        raise refusals.modified(call.resource, call.name) from exc
    except Missing as exc:
        raise refusals.not_found(call.resource, call.name) from exc


def is_finished(call: Call, obj: Obj) -> bool:
    """Whether a deletion that was waiting for finalizers or an agent has nothing left to wait for."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") or meta.get("finalizers"):
        return False
    if call.resource.kind == "Namespace" and (obj.get("spec") or {}).get("finalizers"):
        return False
    return not (call.resource.storage_key in GRACEFUL and meta.get("deletionGracePeriodSeconds"))


def _check_preconditions(call: Call, old: Record, new: Obj) -> None:
    meta, old_meta = new["metadata"], old.obj["metadata"]
    version = meta.get("resourceVersion")
    if version and version != old_meta["resourceVersion"]:
        raise refusals.modified(call.resource, call.name)
    if meta.get("uid") and meta["uid"] != old_meta["uid"]:
        raise refusals.conflict(
            call.resource,
            call.name,
            f"Precondition failed: UID in precondition: {meta['uid']}, UID in object meta: {old_meta['uid']}",
        )
