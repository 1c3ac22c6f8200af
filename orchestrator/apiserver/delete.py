"""DELETE and DELETECOLLECTION.

An object goes at once unless something waits for it: finalizers, the garbage collector (foreground, orphan), or, for a
pod on a node, its agent, which deletes it again with grace period 0 when its containers have stopped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestrator import errors
from orchestrator.apiserver import refusals
from orchestrator.apiserver.admission import admit_delete
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.read import ListOptions, list_
from orchestrator.apiserver.update import GRACEFUL, changed_meanwhile, is_finished, persistently, require_unchanged
from orchestrator.apiserver.webhooks.request import Request
from orchestrator.objects import kinds
from orchestrator.objects.meta import Obj
from orchestrator.store.record import Missing, Record, Stale

_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_ORPHAN_BY_DEFAULT = {kinds.REPLICATIONCONTROLLERS.storage_key, kinds.JOBS.storage_key}
_POD_GRACE = 30


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    grace_period: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""

    @classmethod
    def parse(cls, body: Mapping[str, Any], query: Mapping[str, str] | None = None) -> DeleteOptions:
        """From a DeleteOptions body or, where that says nothing, the query. Raises: BadRequest, Invalid."""
        query = query or {}
        preconditions = body.get("preconditions") or {}
        grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or ""
        orphan = body.get("orphanDependents", query.get("orphanDependents"))
        if propagation and orphan is not None:
            raise errors.Invalid("DeleteOptions is invalid: orphanDependents and propagationPolicy cannot be both set")
        if orphan is not None:
            propagation = "Orphan" if orphan in (True, "true", "1") else "Background"
        if propagation not in ("", "Background", "Foreground", "Orphan"):
            raise errors.Invalid(
                f'DeleteOptions is invalid: propagationPolicy: Invalid value: "{propagation}": '
                "must be one of Background, Foreground, Orphan"
            )
        try:
            seconds = None if grace is None else max(int(grace), 0)
        except (TypeError, ValueError) as exc:
            raise errors.BadRequest(f"gracePeriodSeconds {grace!r} is not a number") from exc
        return cls(seconds, propagation, preconditions.get("uid") or "", preconditions.get("resourceVersion") or "")

    def described(self) -> Obj:
        """As a DeleteOptions object."""
        preconditions = {"uid": self.uid, "resourceVersion": self.resource_version}
        fields = {
            "gracePeriodSeconds": self.grace_period,
            "propagationPolicy": self.propagation or None,
            "preconditions": {key: value for key, value in preconditions.items() if value} or None,
        }
        return {key: value for key, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Deletion:
    record: Record
    removed: bool


async def delete(api: Api, call: Call, options: DeleteOptions) -> Deletion:
    """Raises: NotFound, Conflict (preconditions)."""
    return await persistently(lambda: _delete(api, call, options))


async def _delete(api: Api, call: Call, options: DeleteOptions, name: str | None = None) -> Deletion:
    """`name` is what webhooks hear, where that is not the call's: nothing when a collection is deleted."""
    old = api.store.latest(call.resource.storage_key, call.key)
    if old is None:
        raise refusals.not_found(call.resource, call.name)
    _check_preconditions(call, options, old)
    admit_delete(api, call, old.obj)
    if (plan := api.concerned(call, "DELETE")) is not None and api.hooks is not None:
        told, details = call.name if name is None else name, options.described()
        request = Request(call, "DELETE", call.view or call.resource, None, old.obj, told, details)
        await api.hooks.admit(plan, request)
        require_unchanged(api, call, old)
    final = plan_deletion(api, call, options, old.obj)
    removed = is_finished(call, final)
    if call.dry_run or (not removed and final == old.obj):
        return Deletion(Record(old.resource, old.key, old.revision, final) if call.dry_run else old, removed)
    try:
        if removed:
            record = await api.store.delete(old.resource, old.key, expect=old.revision, final=final)
        else:
            record = await api.store.update(old.resource, old.key, final, expect=old.revision)
    except Stale as exc:
        raise changed_meanwhile(call) from exc
    except Missing as exc:
        raise refusals.not_found(call.resource, call.name) from exc
    return Deletion(record, removed)


def plan_deletion(api: Api, call: Call, options: DeleteOptions, old: Obj) -> Obj:
    """The object as the deletion leaves it, a new dictionary; unchanged in content when it was under way already."""
    meta = dict(old["metadata"])
    grace = grace_period(call, options, old)
    finalizers = _finalizers(call, options, meta)
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    deleting = bool(meta.get("deletionTimestamp"))
    if not deleting or grace < int(meta.get("deletionGracePeriodSeconds") or 0):
        meta["deletionTimestamp"] = api.timestamp(grace)
        meta["deletionGracePeriodSeconds"] = grace
        if not deleting and meta.get("generation"):
            meta["generation"] += 1
    new = {**old, "metadata": meta}
    if call.resource.kind == "Namespace":
        new["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
    return new


def grace_period(call: Call, options: DeleteOptions, obj: Obj) -> int:
    """The seconds the object gets; 0 for everything but a pod that an agent runs."""
    if call.resource.storage_key not in GRACEFUL:
        return 0
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    if options.grace_period is not None:
        return options.grace_period
    if obj["metadata"].get("deletionTimestamp"):
        return int(obj["metadata"].get("deletionGracePeriodSeconds") or 0)
    seconds = spec.get("terminationGracePeriodSeconds")
    return _POD_GRACE if seconds is None else max(int(seconds), 1)


def _finalizers(call: Call, options: DeleteOptions, meta: Obj) -> list[str]:
    finalizers = list(meta.get("finalizers") or ())
    propagation = options.propagation
    if not propagation:
        if _ORPHAN in finalizers or _FOREGROUND in finalizers:
            return finalizers
        propagation = "Orphan" if call.resource.storage_key in _ORPHAN_BY_DEFAULT else "Background"
    wanted = {"Orphan": _ORPHAN, "Foreground": _FOREGROUND}.get(propagation)
    finalizers = [f for f in finalizers if f not in (_ORPHAN, _FOREGROUND)]
    return [*finalizers, wanted] if wanted else finalizers


def _check_preconditions(call: Call, options: DeleteOptions, old: Record) -> None:
    meta = old.obj["metadata"]
    if options.uid and options.uid != meta["uid"]:
        raise refusals.conflict(
            call.resource,
            call.name,
            f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {meta['uid']}",
        )
    if options.resource_version and options.resource_version != meta["resourceVersion"]:
        raise refusals.conflict(
            call.resource,
            call.name,
            f"Precondition failed: ResourceVersion in precondition: {options.resource_version}, "
            f"ResourceVersion in object meta: {meta['resourceVersion']}",
        )


async def delete_collection(api: Api, call: Call, selectors: ListOptions, options: DeleteOptions) -> list[Record]:
    """Delete every match; objects that went meanwhile are as good as deleted."""
    page = await list_(api, call, selectors)
    deleted = []
    for record in page.records:
        one = dataclasses.replace(call, verb="delete", namespace=record.key.namespace, name=record.key.name)
        try:
            deleted.append((await persistently(partial(_delete, api, one, options, ""))).record)
        except errors.NotFound:
            continue
    return deleted
