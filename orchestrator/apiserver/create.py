"""CREATE."""

from __future__ import annotations

from orchestrator import errors
from orchestrator.apiserver import refusals
from orchestrator.apiserver.admission import admit_create, admit_early, admit_valid
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.naming import generate_name, new_uid
from orchestrator.apiserver.webhooks.registry import Plan
from orchestrator.apiserver.webhooks.request import Request
from orchestrator.objects import kinds
from orchestrator.objects.apply import track_update
from orchestrator.objects.defaults import apply_defaults
from orchestrator.objects.meta import Key, Obj, clone
from orchestrator.objects.strategy import prepare_create
from orchestrator.objects.validation import validate_create
from orchestrator.store.record import Exists, Record

_GENERATE_ATTEMPTS = 8
_REVIEWS = 5  # times webhooks may be asked about an object that the rest of the cluster changes meanwhile


async def create(api: Api, call: Call, obj: Obj) -> Record:
    """The new object as stored (or as it would be, dry). `obj` is the caller's own copy and is changed.

    Raises: AlreadyExists, Invalid, BadRequest, Forbidden.
    """
    check_identity(call, obj)
    meta = obj["metadata"]
    if meta.get("resourceVersion"):
        raise errors.BadRequest("resourceVersion should not be set on objects to be created")
    plan, request = api.concerned(call, "CREATE"), None
    if plan is not None:
        request = await _mutated(api, call, plan, obj)
        obj = request.obj or obj
        meta = obj["metadata"]
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = _free_name(api, call, meta["generateName"])
    call.name = meta.get("name") or ""
    key = Key(call.namespace, call.name)
    _require_free(api, call)
    _prepare(api, call, obj)
    if plan is not None and request is not None:
        obj = await _validated(api, call, plan, request, obj)
    if call.dry_run:
        return Record(call.resource.storage_key, key, 0, obj)
    try:
        record = await api.store.create(call.resource.storage_key, key, obj)
    except Exists as exc:
        raise refusals.already_exists(call.resource, call.name) from exc
    if call.resource.storage_key == kinds.NAMESPACES.storage_key:
        await _furnish_namespace(api, call.name)
    return record


def _require_free(api: Api, call: Call) -> None:
    if call.name and api.store.latest(call.resource.storage_key, call.key) is not None:
        raise refusals.already_exists(call.resource, call.name)


async def _mutated(api: Api, call: Call, plan: Plan, obj: Obj) -> Request:
    """The object as webhooks leave it, in the request they were sent."""
    assert api.hooks is not None

    def in_tree(draft: Obj) -> None:
        apply_defaults(call.resource, draft)
        admit_early(api, call, draft)

    in_tree(obj)
    request = Request(call, "CREATE", call.view or call.resource, obj, None, obj["metadata"].get("name") or "")
    await api.hooks.mutate(plan, request, in_tree)
    if request.obj is not None:
        check_identity(call, request.obj)
    return request


async def _validated(api: Api, call: Call, plan: Plan, request: Request, obj: Obj) -> Obj:
    """The object once webhooks let it pass and, meanwhile, nothing has come that the server would decide otherwise."""
    assert api.hooks is not None
    for _ in range(_REVIEWS):
        request.obj = obj
        await api.hooks.validate(plan, request)
        _require_free(api, call)
        again: Obj = clone(obj)
        admit_create(api, call, again)
        validate_create(call.resource, again)
        admit_valid(api, call, again)
        if again == obj:
            return again
        obj = again
    raise refusals.modified(call.resource, call.name)


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


def _free_name(api: Api, call: Call, base: str) -> str:
    """Raises: AlreadyExists when luck runs out, as Kubernetes does."""
    for _ in range(_GENERATE_ATTEMPTS):
        name = generate_name(base)
        if api.store.latest(call.resource.storage_key, Key(call.namespace, name)) is None:
            return name
    raise refusals.already_exists(call.resource, name)


def _prepare(api: Api, call: Call, obj: Obj) -> None:
    meta = obj["metadata"]
    applied = call.verb == "patch"  # server-side apply has written managedFields already
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
        meta.pop(field, None)
    if not applied:
        meta.pop("managedFields", None)
    meta["uid"] = new_uid()
    meta["creationTimestamp"] = api.timestamp()
    apply_defaults(call.resource, obj)
    prepare_create(call.resource, obj)
    admit_create(api, call, obj)
    validate_create(call.resource, obj)
    admit_valid(api, call, obj)
    if not applied:
        track_update(call.resource, obj, None, manager=call.field_manager, now=meta["creationTimestamp"])


async def _furnish_namespace(api: Api, namespace: str) -> None:
    """What every pod needs, made with its namespace so that no pod has to wait for it."""
    for resource, name, content in (
        (kinds.SERVICEACCOUNTS, "default", {}),
        (kinds.CONFIGMAPS, "kube-root-ca.crt", {"data": {"ca.crt": api.authority}}),
    ):
        call = Call("create", resource, namespace, name, field_manager="kube-controller-manager", internal=True)
        if api.store.latest(resource.storage_key, call.key) is None:
            await create(api, call, {"metadata": {"name": name, "namespace": namespace}, **content})
