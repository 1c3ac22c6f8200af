"""Strategic merge patch: a merge patch that knows which lists merge, and by which key.

Directives: `$patch` (replace, delete, merge), `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`.
Source: apimachinery pkg/util/strategicpatch/patch.go. The input is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orchestrator import errors
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import clone
from orchestrator.objects.schema import ANYTHING, LIST, Node, schema_of

DIRECTIVE = "$patch"
RETAIN_KEYS = "$retainKeys"
_DELETE_PRIMITIVES = "$deleteFromPrimitiveList/"
_SET_ORDER = "$setElementOrder/"


def strategic_patch(resource: Resource, target: Any, patch: Any) -> Any:
    """`target` with `patch` merged the way `resource`'s schema says. Raises: BadRequest, UnsupportedMediaType."""
    if resource.custom is not None:
        raise errors.UnsupportedMediaType(
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        )
    if not isinstance(patch, dict):
        raise errors.BadRequest("a strategic merge patch must be a JSON object")
    return _merge_map(schema_of(resource), target, patch, "")


def _merge_map(node: Node, target: Any, patch: dict[str, Any], path: str) -> Any:
    directive = patch.get(DIRECTIVE)
    if directive == "replace":
        return {key: clone(value) for key, value in patch.items() if key != DIRECTIVE}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise errors.BadRequest(f"unknown patch type found: {directive} at {path or 'the top'}")
    result = dict(target) if isinstance(target, dict) else {}
    if RETAIN_KEYS in patch:
        result = _retain(result, patch, path)
    for key, value in patch.items():
        if key in (DIRECTIVE, RETAIN_KEYS):
            continue
        if key.startswith(_DELETE_PRIMITIVES):
            _delete_primitives(result, key.removeprefix(_DELETE_PRIMITIVES), value, path)
        elif key.startswith(_SET_ORDER):
            if key.removeprefix(_SET_ORDER) not in patch:
                _order_untouched(node, result, key.removeprefix(_SET_ORDER), value, path)
        elif value is None:
            result.pop(key, None)
        else:
            order = patch.get(f"{_SET_ORDER}{key}")
            result[key] = _merge_value(node.child(key), result.get(key), value, order, f"{path}.{key}".lstrip("."))
    return result


def _merge_value(node: Node, target: Any, patch: Any, order: Any, path: str) -> Any:
    if isinstance(patch, dict):
        if "replace" in node.strategies and DIRECTIVE not in patch:
            return clone(patch)
        return _merge_map(node, target, patch, path)
    if isinstance(patch, list) and node.type == LIST and "merge" in node.strategies:
        existing = target if isinstance(target, list) else []
        if node.merge_key:
            return _merge_objects(node, existing, patch, order, path)
        return _merge_primitives(existing, patch, order)
    return clone(patch)


def _retain(result: dict[str, Any], patch: dict[str, Any], path: str) -> dict[str, Any]:
    kept = patch[RETAIN_KEYS]
    if not isinstance(kept, list):
        raise errors.BadRequest(f"{RETAIN_KEYS} at {path or 'the top'} must be a list of field names")
    stray = [key for key in patch if not key.startswith("$") and patch[key] is not None and key not in kept]
    if stray:
        raise errors.BadRequest(f"The {RETAIN_KEYS} list at {path} lacks {', '.join(stray)}, which the patch sets")
    return {key: value for key, value in result.items() if key in kept}


def _delete_primitives(result: dict[str, Any], key: str, values: Any, path: str) -> None:
    if not isinstance(values, list):
        raise errors.BadRequest(f"{_DELETE_PRIMITIVES}{key} at {path or 'the top'} must be a list")
    if isinstance(existing := result.get(key), list):
        result[key] = [item for item in existing if item not in values]


def _order_untouched(node: Node, result: dict[str, Any], key: str, order: Any, path: str) -> None:
    existing = result.get(key)
    if isinstance(existing, list) and isinstance(order, list):
        merge_key = node.child(key).merge_key
        result[key] = _reordered(existing, existing, order, _identity(merge_key, f"{path}.{key}".lstrip(".")))


def _merge_primitives(existing: list[Any], patch: list[Any], order: Any) -> list[Any]:
    merged = list(existing)
    merged += [item for item in patch if item not in merged]
    return _reordered(merged, existing, order if isinstance(order, list) else patch, lambda item: item)


def _identity(merge_key: str, path: str) -> Callable[[Any], Any]:
    def identity(item: Any) -> Any:
        if not merge_key:
            return item
        if not isinstance(item, dict) or merge_key not in item:
            raise errors.BadRequest(f"map: {item!r} does not contain declared merge key: {merge_key} ({path})")
        return item[merge_key]

    return identity


def _merge_objects(node: Node, existing: list[Any], patch: list[Any], order: Any, path: str) -> list[Any]:
    if any(isinstance(item, dict) and item.get(DIRECTIVE) == "replace" for item in patch):
        return [
            {key: clone(value) for key, value in item.items() if key != DIRECTIVE}
            for item in patch
            if not (isinstance(item, dict) and item.keys() == {DIRECTIVE})
        ]
    identity = _identity(node.merge_key, path)
    merged = list(existing)
    for item in patch:
        if not isinstance(item, dict):
            raise errors.BadRequest(f"{path} must hold objects, got {item!r}")
        key = identity(item)
        places = [at for at, old in enumerate(merged) if isinstance(old, dict) and old.get(node.merge_key) == key]
        if item.get(DIRECTIVE) == "delete":
            merged = [old for at, old in enumerate(merged) if at not in places]
        elif places:
            merged[places[0]] = _merge_map(node.items or ANYTHING, merged[places[0]], item, f"{path}[{key}]")
        else:
            merged.append(_merge_map(node.items or ANYTHING, {}, item, f"{path}[{key}]"))
    if not isinstance(order, list):
        order = [item for item in patch if item.get(DIRECTIVE) != "delete"]  # as Kubernetes: new items come first
    return _reordered(merged, existing, order, identity)


def _reordered(
    merged: Sequence[Any], existing: Sequence[Any], order: list[Any], identity: Callable[[Any], Any]
) -> list[Any]:
    """`merged` with the items that `order` names in its order; others keep their place relative to the live ones."""
    position = {_hashable(identity(item)): at for at, item in enumerate(order)}
    live = {_hashable(identity(item)): at for at, item in enumerate(existing)}
    named = sorted(
        (item for item in merged if _hashable(identity(item)) in position),
        key=lambda item: position[_hashable(identity(item))],
    )
    others = [item for item in merged if _hashable(identity(item)) not in position]
    result: list[Any] = []
    while named and others:
        first, other = (_hashable(identity(named[0])), _hashable(identity(others[0])))
        other_first = other in live and first in live and live[other] < live[first]
        result.append((others if other_first else named).pop(0))
    return result + named + others


def _hashable(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
