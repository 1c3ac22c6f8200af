"""PATCH: the four patch types over one object, ending in `update.write`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator import errors
from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.create import check_identity, create
from orchestrator.apiserver.update import persistently, write
from orchestrator.apiserver.webhooks import conversion
from orchestrator.client import PatchType
from orchestrator.objects.apply import apply_patch
from orchestrator.objects.decode import decode, decode_applied
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj, clone
from orchestrator.objects.patch import json_patch, merge_patch
from orchestrator.objects.strategic import strategic_patch
from orchestrator.store.record import Record

CONTENT_TYPES: dict[str, PatchType] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
    "application/apply-patch+cbor": "apply",
}


async def patch(api: Api, call: Call, patch_type: PatchType, content: Any, problems: Sequence[str] = ()) -> Record:
    """`problems` are what reading the body found, such as keys set twice.

    Raises: NotFound, Conflict, Invalid, BadRequest, UnsupportedMediaType.
    """

    async def attempt() -> Record:
        old = api.store.latest(call.resource.storage_key, call.key)
        if old is not None:
            old = await conversion.current(api, call, old)
        if patch_type == "apply":
            return await _apply(api, call, old, content, problems)
        if old is None:
            raise refusals.not_found(call.resource, call.name)
        return await _patch(api, call, old, patch_type, content, problems)

    return await persistently(attempt)


async def _patch(
    api: Api, call: Call, old: Record, patch_type: PatchType, content: Any, problems: Sequence[str]
) -> Record:  # fmt: skip
    view = call.view or call.resource
    body = patched(view, await conversion.convert_one(api, old.obj, view), patch_type, content)
    if not isinstance(body, dict):
        raise errors.BadRequest("the patch turns the object into something that is not an object")
    new, warnings = decode(view, clone(body), call.field_validation, problems)
    new = await conversion.convert_one(api, new, call.resource)
    call.warnings += warnings
    check_identity(call, new)
    if new["metadata"].get("name") != call.name:
        raise errors.BadRequest("the patch changes metadata.name, which can never change")
    return await write(api, call, old, new)


async def _apply(api: Api, call: Call, old: Record | None, content: Any, problems: Sequence[str]) -> Record:
    """Server-side apply: the fields of `content` are the manager's, whatever else the object holds."""
    configuration = decode_applied(call.view or call.resource, content)
    configuration = await conversion.convert_one(api, configuration, call.resource, complete=False)
    if problems and call.field_validation == "Strict":
        raise errors.BadRequest(f"error strict decoding YAML: {', '.join(problems)}")
    if call.field_validation == "Warn":
        call.warnings += problems
    check_identity(call, configuration)
    meta = configuration["metadata"]
    if meta.setdefault("name", call.name) != call.name:
        raise errors.BadRequest(f"the name of the object ({meta['name']}) does not match the URL's ({call.name})")
    if old is None and (call.subresource or meta.get("uid")):
        raise refusals.not_found(call.resource, call.name)
    version = meta.pop("resourceVersion", None)
    if version and (old is None or version != old.obj["metadata"]["resourceVersion"]):
        raise refusals.modified(call.resource, call.name)
    new = apply_patch(
        call.resource,
        old.obj if old is not None else None,
        configuration,
        manager=call.field_manager,
        force=call.force,
        subresource=call.subresource,
        now=api.timestamp(),
    )
    new = clone(new)  # defaults are filled in in place: nothing may be shared with `old`
    if old is None:
        return await create(api, call, new)
    return await write(api, call, old, new, applied=True)


def patched(resource: Resource, obj: Obj, patch_type: PatchType, content: Any) -> Any:
    """The body that the patch makes of `obj`, which stays as it is."""
    if patch_type == "json":
        return json_patch(obj, content)
    if not isinstance(content, dict):
        raise errors.BadRequest("the body of this patch type must be a JSON object")
    if patch_type == "merge":
        return merge_patch(obj, content)
    return strategic_patch(resource, obj, content)
