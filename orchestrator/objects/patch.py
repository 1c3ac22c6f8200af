"""The patch types that do not track owners: JSON patch (RFC 6902) and JSON merge patch (RFC 7386).

Neither changes its input. `strategic.py` has the strategic merge, `apply.py` server-side apply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator import errors
from orchestrator.objects.meta import clone

MAX_OPERATIONS = 10_000


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` with `patch` merged in: null removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = merge_patch(result.get(key), value)
        else:
            result[key] = clone(value)
    return result


def json_patch(target: Any, operations: Any) -> Any:
    """`target` after every operation in order. Raises: BadRequest (not a patch), Invalid (can't be applied)."""
    if not isinstance(operations, list):
        raise errors.BadRequest("a JSON patch must be a list of operations such as "
                                '[{"op": "replace", "path": "/spec/replicas", "value": 2}]')  # fmt: skip
    if len(operations) > MAX_OPERATIONS:
        raise errors.RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        )
    document = clone(target)
    for operation in operations:
        document = _apply_operation(document, operation)
    return document


class _Refused(Exception):
    """Why one operation can't be applied."""


def _apply_operation(document: Any, operation: Any) -> Any:
    if not isinstance(operation, Mapping) or not isinstance(operation.get("path"), str):
        raise errors.BadRequest(f"a JSON patch operation needs an op and a path, got {operation!r}")
    name = operation.get("op")
    handler = _OPERATIONS.get(str(name))
    if handler is None:
        raise errors.BadRequest(f"Unexpected kind: {name}: op must be one of {', '.join(sorted(_OPERATIONS))}")
    try:
        return handler(document, operation)
    except _Refused as refused:
        raise errors.Invalid(f"the server rejected our request due to an error in our request: {refused}") from None


def _pointer(path: Any) -> list[str]:
    if not isinstance(path, str) or (path and not path.startswith("/")):
        raise _Refused(f"{path!r} is not a JSON pointer: it must be empty or start with '/'")
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _get(document: Any, parts: Sequence[str], path: str) -> Any:
    for part in parts:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list):
            document = document[_index(part, len(document) - 1, path)]
        else:
            raise _Refused(f"doc is missing path: {path}")
    return document


def _index(part: str, last: int, path: str) -> int:
    if not part.isdigit() or (len(part) > 1 and part.startswith("0")):
        raise _Refused(f"{part!r} in {path} is not an index of a list")
    if int(part) > last:
        raise _Refused(f"index {part} of {path} is beyond the end of the list")
    return int(part)


def _value_of(operation: Mapping[str, Any]) -> Any:
    if "value" not in operation:
        raise _Refused(f"operation {operation['op']} {operation['path']} has no value")
    return clone(operation["value"])


def _put(document: Any, path: str, value: Any, *, replace: bool) -> Any:
    parts = _pointer(path)
    if not parts:
        return value
    parent = _get(document, parts[:-1], path)
    last = parts[-1]
    if isinstance(parent, dict):
        if replace and last not in parent:
            raise _Refused(f"replace operation does not apply: doc is missing key: {path}: missing value")
        parent[last] = value
    elif isinstance(parent, list):
        if replace:
            parent[_index(last, len(parent) - 1, path)] = value
        else:
            parent.insert(len(parent) if last == "-" else _index(last, len(parent), path), value)
    else:
        raise _Refused(f"{path} leads into a value that is neither object nor list")
    return document


def _add(document: Any, operation: Mapping[str, Any]) -> Any:
    return _put(document, operation["path"], _value_of(operation), replace=False)


def _replace(document: Any, operation: Mapping[str, Any]) -> Any:
    return _put(document, operation["path"], _value_of(operation), replace=True)


def _take(document: Any, path: Any) -> Any:
    """Removes what is at `path` and returns it."""
    parts = _pointer(path)
    if not parts:
        raise _Refused("the whole document can't be removed")
    parent = _get(document, parts[:-1], path)
    last = parts[-1]
    if isinstance(parent, dict) and last in parent:
        return parent.pop(last)
    if isinstance(parent, list):
        return parent.pop(_index(last, len(parent) - 1, path))
    raise _Refused(f"remove operation does not apply: doc is missing path: {path}: missing value")


def _remove(document: Any, operation: Mapping[str, Any]) -> Any:
    _take(document, operation["path"])
    return document


def _move(document: Any, operation: Mapping[str, Any]) -> Any:
    source = operation.get("from")
    target = operation["path"]
    if isinstance(source, str) and target.startswith(f"{source}/"):
        raise _Refused(f"{source} can't be moved into itself")
    return _put(document, target, _take(document, source), replace=False)


def _copy(document: Any, operation: Mapping[str, Any]) -> Any:
    source = operation.get("from")
    value = clone(_get(document, _pointer(source), str(source)))
    return _put(document, operation["path"], value, replace=False)


def _test(document: Any, operation: Mapping[str, Any]) -> Any:
    path = operation["path"]
    try:
        found = _get(document, _pointer(path), path)
    except _Refused:
        if operation.get("value") is None:
            return document
        raise
    if not same_json(found, operation.get("value")):
        raise _Refused(f"testing value {path} failed: test failed")
    return document


def same_json(left: Any, right: Any) -> bool:
    """Equality of JSON values, where `true` is not `1`."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_json(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    return bool(left == right)


_OPERATIONS: dict[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
