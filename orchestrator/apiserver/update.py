"""UPDATE, and the common end of everything that changes an existing object."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from orchestrator import errors
from orchestrator.apiserver import create, refusals
from orchestrator.apiserver.admission import admit_update
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.webhooks import conversion
from orchestrator.apiserver.webhooks.registry import Plan
from orchestrator.apiserver.webhooks.request import Request
from orchestrator.objects import kinds
from orchestrator.objects.apply import track_update
from orchestrator.objects.defaults import apply_defaults
from orchestrator.objects.meta import Obj, clone
from orchestrator.objects.strategy import prepare_update
from orchestrator.objects.validation import validate_update
from orchestrator.store.record import Missing, Record, Stale

_MADE_BY_UPDATE = {
    resource.storage_key
    for resource in (
        kinds.ENDPOINTS, kinds.EVENTS, kinds.LEASES, kinds.LIMITRANGES, kinds.ROLES, kinds.ROLEBINDINGS,
        kinds.CLUSTERROLES, kinds.CLUSTERROLEBINDINGS,
    )
}  # fmt: skip
GRACEFUL = {kinds.PODS.storage_key}
"""Kinds that are deleted in two steps: a deletionTimestamp first, the removal when their agent is done."""
_T = TypeVar("_T")
_ATTEMPTS = 10  # at a write whose object changes each time while webhooks are asked about it


class ChangedMeanwhile(errors.Conflict):
    """The object is no longer the one that webhooks were asked about."""


def changed_meanwhile(call: Call) -> ChangedMeanwhile:
    resource = call.resource
    return ChangedMeanwhile(
        f'Operation cannot be fulfilled on {resource.group_resource} "{call.name}": {refusals.MODIFIED}',
        name=call.name, group=resource.group, kind=resource.plural,
    )  # fmt: skip


async def persistently(attempt: Callable[[], Awaitable[_T]]) -> _T:
    """The outcome of `attempt`, made again on the newest object when that changed while webhooks were asked."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return await attempt()
        except ChangedMeanwhile:
            continue
    return await attempt()


async def update(api: Api, call: Call, obj: Obj) -> Record:
    """Replace the object. `obj` is the caller's own copy and is changed.

    Raises: NotFound, Conflict, Invalid, BadRequest.
    """
    create.check_identity(call, obj)
    meta = obj["metadata"]
    if meta.setdefault("name", call.name) != call.name:
        raise errors.BadRequest(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({call.name})"
        )

    async def attempt() -> Record:
        old = api.store.latest(call.resource.storage_key, call.key)
        if old is None:
            if call.resource.storage_key in _MADE_BY_UPDATE and not call.subresource:
                return await create.create(api, call, obj)
            raise refusals.not_found(call.resource, call.name)
        return await write(api, call, await conversion.current(api, call, old), obj)

    return await persistently(attempt)


async def write(api: Api, call: Call, old: Record, new: Obj, *, applied: bool = False) -> Record:
    """Bring `new`, made from `old`, into the store; the old record when nothing changes.

    `new` may share parts with `old`, but not its metadata; `applied` says that it carries its managedFields already.
    Nothing is awaited between the caller's `latest` and the store's write, so it cannot conflict with another writer;
    unless webhooks are asked. Raises: ChangedMeanwhile, when somebody else was quicker then.
    """
    _check_preconditions(call, old, new)
    if call.subresource == "finalize":
        new = _finalized(old.obj, new)
    if (plan := api.concerned(call, "UPDATE")) is not None:
        new = await _reviewed(api, call, plan, old, new, applied=applied)
    else:
        _prepare(api, call, old.obj, new, applied=applied)
    if new == old.obj and not _in_older_version(api, call):
        return old
    if call.dry_run:
        return Record(old.resource, old.key, old.revision, new)
    try:
        if is_finished(call, new):
            return await api.store.delete(old.resource, old.key, expect=old.revision, final=new)
        return await api.store.update(old.resource, old.key, new, expect=old.revision)
    except Stale as exc:
        raise changed_meanwhile(call) from exc
    except Missing as exc:
        raise refusals.not_found(call.resource, call.name) from exc


async def _reviewed(api: Api, call: Call, plan: Plan, old: Record, new: Obj, *, applied: bool) -> Obj:
    """What webhooks make of `new`, prepared; a dictionary of its own."""
    assert api.hooks is not None
    draft: Obj = clone(new)
    _complete(call, old.obj, draft)
    request = Request(call, "UPDATE", call.view or call.resource, draft, old.obj, call.name)
    await api.hooks.mutate(plan, request)
    written = request.obj or draft
    _prepare(api, call, old.obj, written, applied=applied)
    await api.hooks.validate(plan, request)
    require_unchanged(api, call, old)
    again: Obj = clone(written)
    if again != old.obj:
        admit_update(api, call, again, old.obj)
    if again != written:
        raise changed_meanwhile(call)
    return again


def require_unchanged(api: Api, call: Call, old: Record) -> None:
    """Raises: NotFound, ChangedMeanwhile."""
    latest = api.store.latest(call.resource.storage_key, call.key)
    if latest is None:
        raise refusals.not_found(call.resource, call.name)
    if latest.revision != old.revision:
        raise changed_meanwhile(call)


def _in_older_version(api: Api, call: Call) -> bool:
    """Whether even a write that changes nothing has to be made: it brings the object into today's version."""
    custom = call.resource.custom
    if custom is None or not custom.several:
        return False
    latest = api.store.latest(call.resource.storage_key, call.key)
    return latest is not None and latest.obj.get("apiVersion") != call.resource.api_version


def _prepare(api: Api, call: Call, old: Obj, new: Obj, *, applied: bool) -> None:
    _complete(call, old, new)
    if new == old:
        return
    admit_update(api, call, new, old)
    validate_update(call.resource, new, old, call.subresource)
    if not applied:
        booked = call.tracked_subresource or call.subresource
        track_update(call.resource, new, old, manager=call.field_manager, subresource=booked, now=api.timestamp())


def _complete(call: Call, old: Obj, new: Obj) -> None:
    meta = new["metadata"]
    meta.pop("selfLink", None)
    meta["resourceVersion"] = old["metadata"]["resourceVersion"]
    if call.subresource != "finalize":
        apply_defaults(call.resource, new)
        prepare_update(call.resource, new, old, call.subresource)


def _finalized(old: Obj, new: Obj) -> Obj:
    """`old` with the finalizers of `new`'s spec: all that /finalize may change."""
    spec = {key: value for key, value in (old.get("spec") or {}).items() if key != "finalizers"}
    if finalizers := (new.get("spec") or {}).get("finalizers"):
        spec["finalizers"] = list(finalizers)
    return {**old, "metadata": dict(old["metadata"]), "spec": spec}


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
