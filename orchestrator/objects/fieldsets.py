"""Sets of field paths in FieldsV1 form, and the walks over typed values that make them.

A set is a nested dictionary. Keys name a step: `f:<field>`, `k:<JSON of list keys>`, `v:<JSON of an item>`. `{}` is a
path that belongs to the set; `"."` says so for a path that has members below it too. The empty set is None.
Source: structured-merge-diff, fieldpath and typed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from orchestrator.objects.schema import ANY, ANYTHING, LIST, MAP, OBJECT, Node

FieldSet = dict[str, Any]
MEMBER = "."
_CONTAINERS = (dict, list)
_LEAF: FieldSet = {}
"""Shared by every leaf made here: sets are never changed once made."""


def is_member(tree: FieldSet) -> bool:
    return not tree or MEMBER in tree


def _made(member: bool, children: FieldSet) -> FieldSet | None:
    if not children:
        return {} if member else None
    return {MEMBER: {}, **children} if member else children


def union(left: FieldSet | None, right: FieldSet | None) -> FieldSet | None:
    if left is None or right is None:
        return right if left is None else left
    children = {key: value for key, value in left.items() if key != MEMBER}
    for key, value in right.items():
        if key != MEMBER:
            children[key] = union(children[key], value) if key in children else value
    return _made(is_member(left) or is_member(right), children)


def difference(left: FieldSet | None, right: FieldSet | None) -> FieldSet | None:
    """What is in `left` and not in `right`."""
    if left is None or right is None:
        return left
    children = {}
    for key, value in left.items():
        if key != MEMBER:
            rest = difference(value, right.get(key)) if key in right else value
            if rest is not None:
                children[key] = rest
    return _made(is_member(left) and not is_member(right), children)


def intersection(left: FieldSet | None, right: FieldSet | None) -> FieldSet | None:
    if left is None or right is None:
        return None
    children = {}
    for key, value in left.items():
        if key != MEMBER and key in right:
            both = intersection(value, right[key])
            if both is not None:
                children[key] = both
    return _made(is_member(left) and is_member(right), children)


def paths(tree: FieldSet | None, prefix: str = "") -> Iterator[str]:
    """Every member, written as conflict messages do: `.spec.containers[name="web"].image`."""
    if tree is None:
        return
    if prefix and is_member(tree):
        yield prefix
    for key in sorted(tree):
        if key != MEMBER:
            yield from paths(tree[key], prefix + _step_text(key))


def _step_text(key: str) -> str:
    kind, _, rest = key.partition(":")
    if kind == "f":
        return f".{rest}"
    if kind == "v":
        return f"[={rest}]"
    if kind == "k":
        pairs = orjson.loads(rest)
        return f"[{','.join(f'{name}={orjson.dumps(pairs[name]).decode()}' for name in sorted(pairs))}]"
    return f"[{rest}]"


class AmbiguousList(ValueError):
    """A list whose items its keys do not tell apart."""


def list_items(node: Node, items: list[Any]) -> dict[str, Any]:
    """The items by path step. Raises: AmbiguousList for duplicates and missing keys."""
    result: dict[str, Any] = {}
    for at, item in enumerate(items):
        if node.list_type == "set":
            step = f"v:{orjson.dumps(item).decode()}"
        else:
            step = _key_step(node, item, at)
        if step in result:
            raise AmbiguousList(f"duplicate entries for key {_step_text(step)}")
        result[step] = item
    return result


def _key_step(node: Node, item: Any, at: int) -> str:
    if not isinstance(item, dict):
        raise AmbiguousList(f"element {at}: associative list with keys may not have non-map elements")
    if len(node.keys) == 1 and isinstance(value := item.get(node.keys[0]), str) and value.isascii():
        if '"' not in value and "\\" not in value and value.isprintable():
            return f'k:{{"{node.keys[0]}":"{value}"}}'
    pairs = {}
    for key in node.keys:
        if key in item:
            pairs[key] = item[key]
        elif key in node.key_defaults:
            pairs[key] = node.key_defaults[key]
    if not pairs:
        raise AmbiguousList(
            f'element {at}: associative list with keys has an element that omits key field "{node.keys[0]}" '
            "(and doesn't have default value)"
        )
    return f"k:{orjson.dumps(pairs, option=orjson.OPT_SORT_KEYS).decode()}"


def is_granular(node: Node, value: Any) -> bool:
    """Whether the parts of `value` have owners of their own."""
    if isinstance(value, dict):
        return node.type in (OBJECT, MAP, ANY) and not node.atomic_map
    return isinstance(value, list) and node.type == LIST and node.list_type in ("map", "set")


def added(node: Node, value: Any) -> FieldSet:
    """The set of a value that was not there before: every path in it, containers included."""
    if not value or not is_granular(node, value):
        return _LEAF
    result: FieldSet = {MEMBER: _LEAF}
    if isinstance(value, dict):
        for key, item in value.items():
            result[f"f:{key}"] = _added_child(node, key, item) if item.__class__ in _CONTAINERS else _LEAF
        return result
    try:
        items = list_items(node, value)
    except AmbiguousList:
        return _LEAF
    for step, item in items.items():
        result[step] = added(node.items or ANYTHING, item) if node.list_type == "map" else _LEAF
    return result


def _added_child(node: Node, key: str, item: Any) -> FieldSet:
    below = added(node.child(key), item)
    if MEMBER in below and key in node.required:
        del below[MEMBER]
    return below


def changes(node: Node, old: Any, new: Any) -> tuple[FieldSet | None, FieldSet | None]:
    """What is different in `new`: (added or modified, removed). Both values exist and are not equal."""
    if type(old) is not type(new) or not is_granular(node, new) or not (old or new):
        return {}, None
    if isinstance(new, dict):
        return _changed_fields(node, old, new)
    try:
        before, after = list_items(node, old), list_items(node, new)
    except AmbiguousList:
        return {}, None
    return _changed_items(node.items or ANYTHING, before, after)


def _changed_fields(
    node: Node, before: dict[str, Any], after: dict[str, Any]
) -> tuple[FieldSet | None, FieldSet | None]:
    changed: FieldSet = {}
    removed: FieldSet = {}
    for key, value in after.items():
        if key not in before:
            changed[f"f:{key}"] = _added_child(node, key, value)
        elif before[key] is not value and before[key] != value:
            more, less = changes(node.child(key), before[key], value)
            if more is not None:
                changed[f"f:{key}"] = more
            if less is not None:
                removed[f"f:{key}"] = less
    for key, value in before.items():
        if key not in after:
            removed[f"f:{key}"] = added(node.child(key), value)
    return changed or None, removed or None


def _changed_items(
    node: Node, before: dict[str, Any], after: dict[str, Any]
) -> tuple[FieldSet | None, FieldSet | None]:
    changed: FieldSet = {}
    removed: FieldSet = {}
    for step, item in after.items():
        if step not in before:
            changed[step] = {} if step.startswith("v:") else added(node, item)
        elif before[step] is not item and before[step] != item:
            more, less = changes(node, before[step], item)
            if more is not None:
                changed[step] = more
            if less is not None:
                removed[step] = less
    for step, item in before.items():
        if step not in after:
            removed[step] = {} if step.startswith("v:") else added(node, item)
    return changed or None, removed or None


def applied(node: Node, value: Any) -> FieldSet | None:
    """The set that applying `value` owns: leaves, entries of maps and items of lists, not the fields around them.

    Raises: AmbiguousList.
    """
    if not is_granular(node, value):
        return {}
    result: FieldSet = {}
    if isinstance(value, dict):
        for key, item in value.items():
            child = applied(node.child(key), item)
            named = node.type == OBJECT and key in node.fields
            if not named or item is None or item == {}:
                child = union(child, {})
            if child is not None:
                result[f"f:{key}"] = child
        return result or None
    for step, item in list_items(node, value).items():
        child = applied(node.items or ANYTHING, item) if node.list_type == "map" else {}
        result[step] = union(child, {}) or {}
    return result or None
