"""Who owns which field: server-side apply, and the bookkeeping of every other write in `metadata.managedFields`.

Source: structured-merge-diff merge/update.go, apimachinery pkg/util/managedfields.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from orchestrator import errors
from orchestrator.objects import strategy
from orchestrator.objects.fieldsets import (
    AmbiguousList,
    FieldSet,
    applied,
    changes,
    difference,
    intersection,
    is_granular,
    is_member,
    list_items,
    paths,
    union,
)  # fmt: skip
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj, clone
from orchestrator.objects.schema import ANYTHING, Node, schema_of
from orchestrator.objects.validation.fields import invalid

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MAX_UPDATE_MANAGERS = 10
MAX_MANAGER_BYTES = 128
_PATCH_OPTIONS = Resource("meta.k8s.io", "v1", "", "PatchOptions")
_ANCIENT = "ancient-changes"
_BEFORE_FIRST = "before-first-apply"
_UNTRACKED = frozenset((
    "f:name", "f:namespace", "f:creationTimestamp", "f:selfLink", "f:uid", "f:generation", "f:managedFields",
    "f:resourceVersion",
))  # fmt: skip


class Owner(NamedTuple):
    """What tells one entry of managedFields from another."""

    manager: str
    operation: str
    api_version: str
    subresource: str

    def __str__(self) -> str:
        text = orjson.dumps(self.manager).decode()
        if self.subresource:
            text += f" with subresource {orjson.dumps(self.subresource).decode()}"
        return f"{text} using {self.api_version}" if self.operation == "Update" else text


class _Claim(NamedTuple):
    fields: FieldSet
    time: str


_Claims = dict[Owner, _Claim]


def _read_claims(entries: Any) -> _Claims:
    claims: _Claims = {}
    for entry in entries or ():
        if not entry.get("operation") or not isinstance(entry.get("fieldsV1"), dict) or not entry["fieldsV1"]:
            continue
        owner = Owner(
            entry.get("manager", ""), entry["operation"], entry.get("apiVersion", ""), entry.get("subresource", "")
        )
        fields = union(claims[owner].fields, entry["fieldsV1"]) if owner in claims else entry["fieldsV1"]
        claims[owner] = _Claim(fields or {}, entry.get("time", ""))
    return claims


def _write_claims(claims: _Claims) -> list[dict[str, Any]]:
    """Applied entries first, then updates, each by time, as Kubernetes orders them."""
    entries = []
    ordered = sorted(claims.items(), key=lambda pair: (pair[0].operation, pair[1].time, pair[0].manager))
    for owner, claim in ordered:
        entry: dict[str, Any] = {
            "manager": owner.manager,
            "operation": owner.operation,
            "apiVersion": owner.api_version,
            "time": claim.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": claim.fields,
        }
        if not claim.time:
            del entry["time"]
        if owner.subresource:
            entry["subresource"] = owner.subresource
        entries.append(entry)
    return entries


def _tracked(fields: FieldSet | None) -> FieldSet | None:
    """Without what the server owns: the type and most of metadata."""
    if fields is None:
        return None
    result = {key: value for key, value in fields.items() if key not in ("f:apiVersion", "f:kind", ".")}
    meta = result.get("f:metadata")
    if meta is not None:
        meta = {key: value for key, value in meta.items() if key not in _UNTRACKED and key != "."}
        if meta:
            result["f:metadata"] = meta
        else:
            del result["f:metadata"]
    return result or None


def _is_reset(entries: Any) -> bool:
    return isinstance(entries, list) and len(entries) == 1 and not entries[0]


def track_update(
    resource: Resource, new: Obj, old: Obj | None, *, manager: str, subresource: str = "", now: str
) -> None:
    """Sets, in place, `new.metadata.managedFields` after a create, update or patch by `manager`.

    Call it last, on the object as it will be stored. A writer may send managedFields of its own (as kubectl does when
    it moves to server-side apply), or `[{}]` to forget them.
    """
    meta = new["metadata"]
    sent = meta.get("managedFields")
    kept = (old["metadata"].get("managedFields") if old is not None else None) or []
    if _is_reset(sent):
        meta.pop("managedFields")
        return
    entries = sent or kept
    base = old if old is not None else {"metadata": {}, "spec": {}, "status": {}}
    changed, removed = changes(schema_of(resource), base, new)
    changed, removed = _tracked(changed), _tracked(removed)
    if not subresource and changed is not None and strategy.has_status(resource):
        changed = {key: value for key, value in changed.items() if key != "f:status"} or None
    if changed is None and removed is None:
        _set_entries(meta, entries)
        return
    claims = _read_claims(entries)
    owner = Owner(manager, "Update", resource.api_version, subresource)
    before = claims.pop(owner, None)
    _release(claims, union(changed, removed))
    mine = difference(union(before.fields if before else None, changed), removed)
    if mine is not None:
        claims[owner] = before if before is not None and before.fields == mine else _Claim(mine, now)
    _cap(claims)
    _set_entries(meta, _write_claims(claims))


def _set_entries(meta: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    if entries:
        meta["managedFields"] = entries
    else:
        meta.pop("managedFields", None)


def _release(claims: _Claims, lost: FieldSet | None) -> None:
    """Takes the fields in `lost` from every claim."""
    if lost is None:
        return
    for owner, claim in list(claims.items()):
        rest = difference(claim.fields, lost)
        if rest is None:
            del claims[owner]
        elif rest != claim.fields:
            claims[owner] = _Claim(rest, claim.time)


def _cap(claims: _Claims) -> None:
    """Folds the oldest updaters into one, so that an object's history does not grow without end."""
    updates = [owner for owner in claims if owner.operation == "Update" and not owner.subresource]
    if len(updates) <= MAX_UPDATE_MANAGERS:
        return
    updates.sort(key=lambda owner: claims[owner].time)
    for owner in updates[: len(updates) - MAX_UPDATE_MANAGERS + 1]:
        claim = claims.pop(owner)
        bucket = Owner(_ANCIENT, "Update", owner.api_version, "")
        existing = claims.get(bucket)
        fields = union(existing.fields if existing else None, claim.fields) or {}
        claims[bucket] = _Claim(fields, max(claim.time, existing.time if existing else ""))


def check_manager(manager: str, *, applying: bool, force: bool) -> None:
    """Whether a patch may carry this `fieldManager` and `force`. Raises: Invalid."""
    found = []
    if applying and not manager:
        found.append(("FieldValueRequired", "fieldManager", "Required value: is required for apply patch"))
    if len(manager) > MAX_MANAGER_BYTES:
        found.append(("FieldValueTooLong", "fieldManager", f"Too long: may not be more than {MAX_MANAGER_BYTES} bytes"))
    if not manager.isprintable():
        found.append(("FieldValueInvalid", "fieldManager", "Invalid value: should only contain printable characters"))
    if force and not applying:
        found.append(("FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch"))
    if found:
        raise invalid(_PATCH_OPTIONS, "", found)


def apply_patch(
    resource: Resource,
    live: Obj | None,
    configuration: Obj,
    *,
    manager: str,
    force: bool = False,
    subresource: str = "",
    now: str,
) -> Obj:
    """The object after `manager` applied `configuration` (decoded, not defaulted), managedFields included.

    `live` is None when the object is yet to be created. Defaulting, preparation and validation come after; do not
    call `track_update` on the result. Raises: Conflict (another owner's field, without `force`), BadRequest.
    """
    if configuration["metadata"].get("managedFields"):
        raise errors.BadRequest("metadata.managedFields must be nil")
    node = schema_of(resource)
    wanted = _for_endpoint(resource, configuration, subresource)
    base = live if live is not None else {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
    try:
        owned = _tracked(applied(node, wanted))
        merged = merge(node, base, wanted)
    except AmbiguousList as problem:
        name = "/".join(filter(None, (wanted["metadata"].get("namespace"), wanted["metadata"].get("name"))))
        raise errors.BadRequest(
            f"failed to create typed patch object ({name}; {resource.api_version}, Kind={resource.kind}): {problem}"
        ) from None
    claims = _claims_before(node, resource, live, now)
    owner = Owner(manager, "Apply", resource.api_version, subresource)
    last = claims.pop(owner, None)
    if last is not None:
        everyone = owned
        for claim in claims.values():
            everyone = union(everyone, claim.fields)
        merged = {key: _prune_root(node, key, value, last.fields, everyone) for key, value in merged.items()}
    changed, removed = (None, None) if base == merged else changes(node, base, merged)
    changed, removed = _tracked(changed), _tracked(removed)
    _refuse_conflicts(claims, changed, force)
    _release(claims, union(changed, removed))
    if owned is not None:
        claims[owner] = last if last is not None and last.fields == owned else _Claim(owned, now)
    result = {**merged, "metadata": dict(merged["metadata"])}
    _set_entries(result["metadata"], _write_claims(claims))
    if manager == "kubectl" and not subresource:
        _refresh_last_applied(result, configuration)
    return result


def _for_endpoint(resource: Resource, configuration: Obj, subresource: str) -> Obj:
    if subresource == "status":
        kept = {"apiVersion", "kind", "metadata", "status"}
        return {key: value for key, value in configuration.items() if key in kept}
    if strategy.has_status(resource):
        return {key: value for key, value in configuration.items() if key != "status"}
    return configuration


def _claims_before(node: Node, resource: Resource, live: Obj | None, now: str) -> _Claims:
    if live is None:
        return {}
    claims = _read_claims(live["metadata"].get("managedFields"))
    if not claims:
        everything = _tracked(changes(node, {"metadata": {}, "spec": {}, "status": {}}, live)[0])
        if everything is not None:
            claims[Owner(_BEFORE_FIRST, "Update", resource.api_version, "")] = _Claim(everything, now)
    return claims


def _refuse_conflicts(claims: _Claims, changed: FieldSet | None, force: bool) -> None:
    if force or changed is None:
        return
    conflicts = [
        (str(owner), path)
        for owner, claim in sorted(claims.items())
        for path in paths(intersection(claim.fields, changed))
    ]
    if not conflicts:
        return
    if len(conflicts) == 1:
        message = f"Apply failed with 1 conflict: conflict with {conflicts[0][0]}: {conflicts[0][1]}"
    else:
        by_owner: dict[str, list[str]] = {}
        for name, path in conflicts:
            by_owner.setdefault(name, []).append(f"- {path}")
        listed = "\n".join(f"conflicts with {name}:\n" + "\n".join(found) for name, found in by_owner.items())
        message = f"Apply failed with {len(conflicts)} conflicts: {listed}"
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {name}", "field": path}
        for name, path in conflicts
    ]
    raise errors.Conflict(message, causes=causes)


def _refresh_last_applied(result: Obj, configuration: Obj) -> None:
    """Keeps the annotation of client-side apply true, for whoever goes back to it."""
    annotations = result["metadata"].get("annotations") or {}
    if LAST_APPLIED not in annotations:
        return
    plain = clone(configuration)
    (plain["metadata"].get("annotations") or {}).pop(LAST_APPLIED, None)
    result["metadata"]["annotations"] = {**annotations, LAST_APPLIED: orjson.dumps(plain).decode() + "\n"}


def merge(node: Node, live: Any, wanted: Any) -> Any:
    """`live` with `wanted` laid over it, lists by their keys. Raises: AmbiguousList."""
    if not is_granular(node, wanted) or not is_granular(node, live):
        return clone(wanted)
    if isinstance(wanted, dict):
        result = dict(live)
        for key, value in wanted.items():
            result[key] = merge(node.child(key), live[key], value) if key in live else clone(value)
        return result
    return _merge_list(node, live, wanted)


def _merge_list(node: Node, live: list[Any], wanted: list[Any]) -> list[Any]:
    """In the order of `wanted`; items only `live` has stay after what they followed."""
    old, new = list_items(node, live), list_items(node, wanted)
    child = node.items or ANYTHING
    pending = iter(new)
    emitted: set[str] = set()
    result: list[Any] = []

    def emit_until(stop: str | None) -> None:
        if stop in emitted:
            return
        for step in pending:
            emitted.add(step)
            result.append(merge(child, old[step], new[step]) if step in old else clone(new[step]))
            if step == stop:
                return

    for step, item in old.items():
        if step in new:
            emit_until(step)
        else:
            result.append(item)
    emit_until(None)
    return result


def _prune_root(node: Node, key: str, value: Any, last: FieldSet, owned: FieldSet | None) -> Any:
    """Metadata, spec and the like stay, whatever happens to what is in them."""
    step = f"f:{key}"
    return _prune(node.child(key), value, last[step], (owned or {}).get(step)) if step in last else value


def _prune(node: Node, value: Any, last: FieldSet, owned: FieldSet | None) -> Any:
    """`value` without what `last` owned and nobody owns now."""
    if not is_granular(node, value):
        return value
    if isinstance(value, dict):
        result = {}
        for key, item in value.items():
            step = f"f:{key}"
            if step not in last:
                result[key] = item
            elif owned is not None and step in owned:
                result[key] = _prune(node.child(key), item, last[step], owned[step])
        return result
    try:
        items = list_items(node, value)
    except AmbiguousList:
        return value
    kept = []
    for step, item in items.items():
        if step not in last:
            kept.append(item)
        elif owned is not None and step in owned:
            kept.append(_prune(node.items or ANYTHING, item, last[step], owned[step]))
        elif not is_member(last[step]):
            kept.append(_prune(node.items or ANYTHING, item, last[step], None))
    return kept
