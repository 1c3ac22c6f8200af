"""From a request's JSON to an object of a kind: types checked, unknown fields found, quantities made canonical.

What Kubernetes does by decoding into Go structs: fields it doesn't know are dropped and reported, nulls and empty
optional lists and maps vanish, and a value of the wrong type refuses the whole request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from orchestrator import errors
from orchestrator.objects import quantity
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.objects.schema import (
    ANY,
    BOOLEAN,
    BYTES,
    INT_OR_STRING,
    INTEGER,
    LIST,
    MAP,
    NUMBER,
    OBJECT,
    QUANTITY,
    STRING,
    TIME,
    Node,
    schema_of,
    schema_of_kind,
)  # fmt: skip

FieldValidation = Literal["Strict", "Warn", "Ignore"]
Path = tuple[Any, ...]
"""A path from the inside out: (key, (outer key, ...)); built only when something has to be said."""

_TYPE_META = frozenset(("apiVersion", "kind"))
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_BASE64 = re.compile(r"[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*")
_LIMITS = {"int32": 2**31, "int64": 2**63}


class _Mismatch(Exception):
    """A value that Go could not decode; the argument is Go's sentence."""


class _Decoder:
    __slots__ = ("unknown",)

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def object(self, node: Node, value: Any, path: Path, owner: str) -> Any:
        if not isinstance(value, dict):
            raise _Mismatch(_cannot(value, owner, path, f"v1.{node.name}"))
        fields, result = node.fields, {}
        for key, item in value.items():
            child = fields.get(key)
            if child is None:
                if node.items is not None:
                    result[key] = item
                elif path or key not in _TYPE_META:
                    self.unknown.append(_path_text((key, path)))
                continue
            if item is None:
                continue
            kind = child.type
            if kind == STRING:
                if not isinstance(item, str):
                    raise _Mismatch(_cannot(item, node.name, (key, path), "string"))
                result[key] = item
            elif kind == OBJECT:
                result[key] = self.object(child, item, (key, path), node.name)
            elif kind == LIST or kind == MAP:
                decoded = self.value(child, item, (key, path), node.name)
                if decoded or key in node.required:
                    result[key] = decoded
            else:
                result[key] = self.value(child, item, (key, path), node.name)
        return result

    def value(self, node: Node, value: Any, path: Path, owner: str) -> Any:
        kind = node.type
        if kind == OBJECT:
            return self.object(node, value, path, owner)
        if kind == LIST:
            if not isinstance(value, list):
                raise _Mismatch(_cannot(value, owner, path, _go_type(node)))
            items: Any = node.items
            return [self.item(items, item, (index, path), owner) for index, item in enumerate(value)]
        if kind == MAP:
            if not isinstance(value, dict):
                raise _Mismatch(_cannot(value, owner, path, _go_type(node)))
            items = node.items
            return {key: self.item(items, item, (key, path), owner) for key, item in value.items()}
        return value if kind == ANY else _scalar(node, value, path, owner)

    def item(self, node: Node, value: Any, path: Path, owner: str) -> Any:
        """An item of a list or map, where null stands for the type's zero value."""
        if value is None:
            return _zero(node)
        return self.value(node, value, path, owner)


def _zero(node: Node) -> Any:
    match node.type:
        case t if t in (STRING, BYTES):
            return ""
        case t if t in (OBJECT, MAP):
            return {}
        case t if t == LIST:
            return []
        case t if t == BOOLEAN:
            return False
        case t if t == QUANTITY:
            return "0"
        case t if t in (INTEGER, NUMBER, INT_OR_STRING):
            return 0
    return None


def _scalar(node: Node, value: Any, path: Path, owner: str) -> Any:
    kind = node.type
    if kind == STRING:
        if isinstance(value, str):
            return value
    elif kind == BOOLEAN:
        if isinstance(value, bool):
            return value
    elif kind == INTEGER:
        limit = _LIMITS.get(node.size, 2**63)
        if isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit:
            return value
    elif kind == NUMBER:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
    elif kind == QUANTITY:
        return _quantity(value)
    elif kind == INT_OR_STRING:
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            return value
    elif kind == TIME:
        return _time(value, path, owner)
    elif kind == BYTES:
        return _bytes(value, path, owner)
    raise _Mismatch(_cannot(value, owner, path, _go_type(node)))


def _quantity(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _Mismatch(quantity.INVALID)
    try:
        return quantity.canonical(value)
    except ValueError as problem:
        raise _Mismatch(str(problem)) from None


def _time(value: Any, path: Path, owner: str) -> str:
    if not isinstance(value, str):
        raise _Mismatch(_cannot(value, owner, path, "string"))
    if not _TIME.fullmatch(value):
        raise _Mismatch(f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}" as "2006"')
    return value


def _bytes(value: Any, path: Path, owner: str) -> str:
    if not isinstance(value, str):
        raise _Mismatch(_cannot(value, owner, path, "[]uint8"))
    bare = value.replace("\n", "").replace("\r", "")
    if not _BASE64.fullmatch(value) or len(bare) % 4:
        valid = re.match(r"[A-Za-z0-9+/]*", bare)
        raise _Mismatch(f"illegal base64 data at input byte {valid.end() if valid else 0}")
    return value


def _go_type(node: Node) -> str:
    match node.type:
        case t if t == OBJECT:
            return f"v1.{node.name}"
        case t if t == LIST and node.items is not None:
            return f"[]{_go_type(node.items)}"
        case t if t == MAP and node.items is not None:
            return f"map[string]{_go_type(node.items)}"
        case t if t == INTEGER:
            return node.size or "int64"
    return {BOOLEAN: "bool", NUMBER: "float64", INT_OR_STRING: "intstr.IntOrString"}.get(node.type, "string")


def _cannot(value: Any, owner: str, path: Path, wanted: str) -> str:
    field = ".".join(part for part in _parts(path) if isinstance(part, str))
    return f"json: cannot unmarshal {_json_type(value)} into Go struct field {owner}.{field} of type {wanted}"


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "number" if -(2**63) <= value < 2**63 and abs(value) < 2**31 else f"number {value}"
    if isinstance(value, float):
        return f"number {value}"
    names: dict[type, str] = {str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _parts(path: Path) -> list[Any]:
    parts = []
    while path:
        parts.append(path[0])
        path = path[1]
    return parts[::-1]


def _path_text(path: Path) -> str:
    text = ""
    for part in _parts(path):
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def decode(
    resource: Resource, body: Any, validation: FieldValidation = "Warn", problems: Sequence[str] = ()
) -> tuple[Obj, list[str]]:
    """`body` as a new object of `resource`'s kind, and the warnings to send with the reply.

    Custom resources keep values of any type here: their own schema judges them in `validation`. `problems` are what
    reading the body found already (`duplicate field "spec.replicas"`); they count like unknown fields.
    Raises: BadRequest for wrong types, and under "Strict" for unknown fields.
    """
    if resource.custom is not None:
        return _decode_custom(resource, body, validation, problems)
    return decode_as(schema_of(resource), resource.api_version, resource.kind, body, validation, problems)


def decode_applied(resource: Resource, body: Any) -> Obj:
    """`body` as the configuration of a server-side apply, where every field must be known.

    Raises: BadRequest.
    """
    obj, unknown = decode(resource, body, "Warn")
    if unknown:
        paths = "\n".join(f".{text.removeprefix('unknown field ').strip(chr(34))}" for text in unknown)
        meta = obj["metadata"]
        name = "/".join(filter(None, (meta.get("namespace"), meta.get("name"))))
        declared = "\n".join(f"{path}: field not declared in schema" for path in paths.split("\n"))
        text = f"errors:\n{declared}" if len(unknown) > 1 else declared
        raise errors.BadRequest(
            f"failed to create typed patch object ({name}; {resource.api_version}, Kind={resource.kind}): {text}"
        )
    return obj


def decode_kind(api_version: str, kind: str, body: Any, validation: FieldValidation = "Warn") -> tuple[Obj, list[str]]:
    """The same for kinds that are only sent, such as autoscaling/v1 Scale, v1 Binding or policy/v1 Eviction."""
    return decode_as(schema_of_kind(api_version, kind), api_version, kind, body, validation)


def decode_as(
    node: Node,
    api_version: str,
    kind: str,
    body: Any,
    validation: FieldValidation,
    problems: Sequence[str] = (),
) -> tuple[Obj, list[str]]:
    version = api_version.rpartition("/")[2]
    refused = f'{kind} in version "{version}" cannot be handled as a {kind}'
    _check_type_meta(api_version, kind, body)
    decoder = _Decoder()
    try:
        decoded = decoder.object(node, body, (), kind)
    except _Mismatch as mismatch:
        raise errors.BadRequest(f"{refused}: {mismatch}") from None
    except RecursionError:
        raise errors.BadRequest(f"{refused}: json: exceeded max depth") from None
    decoded = {"apiVersion": api_version, "kind": kind} | decoded
    decoded.setdefault("metadata", {})
    unknown = (f'unknown field "{path}"' for path in decoder.unknown)
    return decoded, _judge(refused, (*unknown, *problems), validation)


def _check_type_meta(api_version: str, kind: str, body: Any) -> None:
    if not isinstance(body, dict):
        raise errors.BadRequest(
            f"couldn't get version/kind; json parse error: json: cannot unmarshal {_json_type(body)} into Go value "
            "of type struct { APIVersion string; Kind string }"
        )
    sent = (body.get("apiVersion") or api_version, body.get("kind") or kind)
    if sent != (api_version, kind):
        raise errors.BadRequest(
            f"the object provided is unrecognized (must be of type {kind}): got {sent[0]}, Kind={sent[1]} "
            f"where {api_version}, Kind={kind} belongs"
        )


def _judge(refused: str, problems: Iterable[str], validation: FieldValidation) -> list[str]:
    found = list(problems)
    if found and validation == "Strict":
        raise errors.BadRequest(f"{refused}: strict decoding error: {', '.join(found)}")
    return found if validation == "Warn" else []


def _decode_custom(
    resource: Resource, body: Any, validation: FieldValidation, problems: Sequence[str]
) -> tuple[Obj, list[str]]:
    from orchestrator.objects import custom

    refused = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
    _check_type_meta(resource.api_version, resource.kind, body)
    decoder = _Decoder()
    metadata = body.get("metadata")
    try:
        node = schema_of(resource).fields["metadata"]
        metadata = decoder.object(node, metadata, ("metadata", ()), resource.kind) if metadata is not None else {}
    except _Mismatch as mismatch:
        raise errors.BadRequest(f"{refused}: {mismatch}") from None
    rest = {key: value for key, value in body.items() if key not in ("apiVersion", "kind", "metadata")}
    pruned, unknown = custom.prune(resource.custom, rest)
    decoded = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata} | pruned
    named = (f'unknown field "{path}"' for path in (*decoder.unknown, *unknown))
    return decoded, _judge(refused, (*named, *problems), validation)
