"""An OpenAPI v2 document as protocol buffers, the only form in which kubectl reads it.

The message numbers are those of openapi.v2 in gnostic's OpenAPIv2.proto; values of any type travel there as YAML text,
for which JSON will do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

Json = dict[str, Any]
_VARINT, _LENGTH = 0, 2


def encode_swagger(document: Json) -> bytes:
    info = document["info"]
    return b"".join((
        _text(1, document["swagger"]),
        _field(2, _text(1, info["title"]) + _text(2, info["version"])),
        _field(8, _named(document["paths"], _path_item, number=2)),
        _field(9, _named(document["definitions"], _schema)),
    ))  # fmt: skip


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH) + _varint(len(body)) + body


def _text(number: int, value: str) -> bytes:
    return _field(number, value.encode()) if value else b""


def _flag(number: int, value: bool) -> bytes:
    return _varint(number << 3 | _VARINT) + b"\x01" if value else b""


def _texts(number: int, values: Iterable[str]) -> bytes:
    return b"".join(_field(number, value.encode()) for value in values)


def _named(entries: Json, encode: Any, number: int = 1) -> bytes:
    """A map, as a list of messages with a name and a value."""
    return b"".join(_field(number, _text(1, name) + _field(2, encode(value))) for name, value in entries.items())


def _any(value: Any) -> bytes:
    return _field(2, orjson.dumps(value))


def _extensions(number: int, holder: Json) -> bytes:
    return _named({key: value for key, value in holder.items() if key.startswith("x-")}, _any, number)


def _schema(schema: Any) -> bytes:
    if not isinstance(schema, dict):
        return b""
    parts = [
        _text(1, schema.get("$ref", "")),
        _text(2, schema.get("format", "")),
        _text(4, schema.get("description", "")),
        _text(13, schema.get("pattern", "")),
        _texts(19, schema.get("required") or ()),
        b"".join(_field(20, _any(value)) for value in schema.get("enum") or ()),
    ]
    values = schema.get("additionalProperties")
    if isinstance(values, dict):
        parts.append(_field(21, _field(1, _schema(values))))
    elif isinstance(values, bool):
        parts.append(_field(21, _varint(2 << 3 | _VARINT) + (b"\x01" if values else b"\x00")))
    if "type" in schema:
        parts.append(_field(22, _texts(1, [schema["type"]])))
    if "items" in schema:
        parts.append(_field(23, _field(1, _schema(schema["items"]))))
    if "properties" in schema:
        parts.append(_field(25, _named(schema["properties"], _schema)))
    parts.append(_extensions(31, schema))
    return b"".join(parts)


_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}


def _path_item(item: Json) -> bytes:
    return b"".join(_field(_METHODS[method], _operation(operation)) for method, operation in item.items())


def _operation(operation: Json) -> bytes:
    return b"".join((
        _text(3, operation.get("description", "")),
        _text(5, operation.get("operationId", "")),
        b"".join(_field(8, _query_parameter(parameter)) for parameter in operation.get("parameters") or ()),
        _field(9, _named(operation.get("responses") or {}, _response)),
        _extensions(13, operation),
    ))  # fmt: skip


def _query_parameter(parameter: Json) -> bytes:
    body = b"".join((
        _text(2, parameter["in"]),
        _text(3, parameter.get("description", "")),
        _text(4, parameter["name"]),
        _text(6, parameter["type"]),
        _flag(20, parameter.get("uniqueItems", False)),
    ))  # fmt: skip
    # ParametersItem.parameter / Parameter.non_body_parameter / NonBodyParameter.query_parameter_sub_schema
    return _field(1, _field(2, _field(3, body)))


def _response(response: Json) -> bytes:
    body = _text(1, response.get("description", ""))
    if "schema" in response:
        body += _field(2, _field(1, _schema(response["schema"])))
    return _field(1, body)
