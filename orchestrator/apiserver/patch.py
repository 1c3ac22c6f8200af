"""PATCH: the four patch types over one object, ending in `update.write`."""

from __future__ import annotations

from typing import Any

from orchestrator import errors
from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.create import check_identity
from orchestrator.apiserver.update import write
from orchestrator.client import PatchType
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.store.record import Record

CONTENT_TYPES: dict[str, PatchType] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
    "application/apply-patch+cbor": "apply",
}


async def patch(api: Api, call: Call, patch_type: PatchType, content: Any) -> Record:
    """Raises: NotFound, Conflict, Invalid, BadRequest, UnsupportedMediaType."""
    old = api.store.latest(call.resource.storage_key, call.key)
    if old is None:
        raise refusals.not_found(call.resource, call.name)
    new = patched(call.resource, old.obj, patch_type, content)
    if not isinstance(new, dict):
        raise errors.BadRequest("the patch turns the object into something that is not an object")
    check_identity(call, new)
    if new["metadata"].get("name") != call.name:
        raise errors.BadRequest("the patch changes metadata.name, which can never change")
    return await write(api, call, old, new)


def patched(resource: Resource, obj: Obj, patch_type: PatchType, content: Any) -> Any:
    """A new object; `obj` is left as it is."""
    from orchestrator.objects.patch import json_patch, merge_patch
    from orchestrator.objects.strategic import strategic_patch

    if patch_type == "json":
        return json_patch(obj, content)
    if not isinstance(content, dict):
        raise errors.BadRequest("the body of this patch type must be a JSON object")
    # merge patches share what they leave alone with their target: the copy keeps the stored object unchanged
    if patch_type == "merge":
        return merge_patch(obj, content)
    return strategic_patch(resource, obj, content)
