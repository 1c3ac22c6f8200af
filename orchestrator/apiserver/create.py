"""CREATE."""

from __future__ import annotations

import secrets
import uuid

from orchestrator import errors
from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.objects.defaults import apply_defaults
from orchestrator.objects.meta import Key, Obj
from orchestrator.objects.strategy import prepare_create
from orchestrator.store.record import Exists, Record

_SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_MAX_GENERATED_BASE = 58
_GENERATE_ATTEMPTS = 8


async def create(api: Api, call: Call, obj: Obj) -> Record:
    """The new object as stored (or as it would be, dry). `obj` is the caller's own copy and is changed.

    Raises: AlreadyExists, Invalid, BadRequest, Forbidden.
    """
    check_identity(call, obj)
    meta = obj["metadata"]
    if meta.get("resourceVersion"):
        raise errors.BadRequest("resourceVersion should not be set on objects to be created")
    generated = not meta.get("name") and bool(meta.get("generateName"))
    for attempt in range(_GENERATE_ATTEMPTS):
        if generated:
            meta["name"] = generate_name(meta["generateName"])
        call.name = meta.get("name") or ""
        if attempt == 0:
            _prepare(api, call, obj)
        key = Key(call.namespace, call.name)
        if api.store.latest(call.resource.storage_key, key) is None:
            break
        if not generated:
            raise refusals.already_exists(call.resource, call.name)
    if call.dry_run:
        return Record(call.resource.storage_key, key, 0, obj)
    try:
        return await api.store.create(call.resource.storage_key, key, obj)
    except Exists as exc:
        raise refusals.already_exists(call.resource, call.name) from exc


def check_identity(call: Call, obj: Obj) -> None:
    """Fill in what the path says (apiVersion, kind, namespace) and refuse an object that says otherwise."""
    if not isinstance(obj, dict):
        raise errors.BadRequest("the body of the request must be a JSON object")
    resource = call.resource
    if obj.setdefault("apiVersion", resource.api_version) != resource.api_version:
        raise errors.BadRequest(
            f"the API version in the data ({obj['apiVersion']}) does not match the expected API version"
            f" ({resource.api_version})"
        )
    if obj.setdefault("kind", resource.kind) != resource.kind:
        raise errors.BadRequest(
            f"{obj['kind']} in version {obj['apiVersion']!r} cannot be handled as a {resource.kind}"
        )
    meta = obj.get("metadata")
    if meta is None:
        meta = obj["metadata"] = {}
    if not isinstance(meta, dict):
        raise errors.BadRequest("metadata must be an object")
    if not resource.namespaced:
        if meta.get("namespace"):
            raise errors.BadRequest("namespace is not allowed on this type: it is cluster-scoped")
        meta.pop("namespace", None)
    elif meta.setdefault("namespace", call.namespace) not in ("", call.namespace):
        raise errors.BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    else:
        meta["namespace"] = call.namespace


def generate_name(base: str) -> str:
    return base[:_MAX_GENERATED_BASE] + "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(5))


def _prepare(api: Api, call: Call, obj: Obj) -> None:
    meta = obj["metadata"]
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields", "generation"):
        meta.pop(field, None)
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = api.timestamp()
    apply_defaults(call.resource, obj)
    prepare_create(call.resource, obj)
