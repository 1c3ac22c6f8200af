"""Every field of every kind survives protobuf: objects with all fields set, encoded as Go does, stay as they were."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from orchestrator.apiserver.wire.protobuf import _META, _messages, decode_protobuf, message_name
from orchestrator.objects import kinds, schema
from orchestrator.objects.schema import Node, schema_of_kind
from orchestrator.objects.times import seconds_of
from tests.orchestrator.apiserver.test_protobuf import body, number, text

VALUES = {
    schema.INTEGER: 7, schema.BOOLEAN: True, schema.NUMBER: 7, schema.INT_OR_STRING: "5%", schema.ANY: {"a": 1},
    schema.QUANTITY: "5", schema.BYTES: "YWI=", schema.TIME: "2026-01-01T00:00:00Z", schema.STRING: "s",
}  # fmt: skip
RESOURCES = [one for one in kinds.BUILT_IN if one.group not in ("metrics.k8s.io", "apiextensions.k8s.io")]


def sample(node: Node, above: tuple[str, ...] = ()) -> Any:
    """A value with every field set; None for a type within itself."""
    if node.type == schema.OBJECT:
        if node.name in above:
            return None
        found = {key: sample(child, (*above, node.name)) for key, child in node.fields.items()}
        return {key: value for key, value in found.items() if value is not None}
    if node.type in (schema.LIST, schema.MAP):
        value = sample(node.items, above) if node.items is not None else None
        return None if value is None else [value] if node.type == schema.LIST else {"k": value}
    return VALUES[node.type]


def encode(message: str, obj: dict[str, Any], kept: dict[str, Any]) -> bytes:
    """The message, with what it has fields for put into `kept`: schemas are newer than descriptors."""
    out = b""
    for key, row in _messages()[message].items():
        field, kind, repeated = row[:3]
        if kind == "m" and not repeated and field not in obj:  # a struct that Go embeds: its fields are obj's own
            inner: dict[str, Any] = {}
            data = encode(row[3], obj, inner)
            if inner.keys() - kept.keys():
                kept |= inner
                out += text(int(key), data)
            continue
        if field not in obj:
            continue
        value = obj[field]
        if kind != "m":
            kept[field] = value
            for item in value if repeated else [value]:
                out += scalar(int(key), kind, item)
        elif repeated and isinstance(value, dict):
            row = _messages()[row[3]]["2"]
            kept[field] = {}
            for name, item in value.items():
                data, kept[field][name] = message_of(row[3], item) if row[1] == "m" else (None, item)
                out += text(int(key), text(1, name) + (text(2, data) if data is not None else scalar(2, row[1], item)))
        else:
            found = [message_of(row[3], item) for item in (value if repeated else [value])]
            out += b"".join(text(int(key), data) for data, _ in found)
            kept[field] = [item for _, item in found] if repeated else found[0][1]
    return out


def scalar(field: int, kind: str, value: Any) -> bytes:
    if kind == "y":
        return text(field, base64.b64decode(value))
    return text(field, value) if kind == "s" else number(field, int(value))


def message_of(message: str, value: Any) -> tuple[bytes, Any]:
    """The bytes, and what of the value they hold."""
    name = message.rpartition(".")[2]
    if message in (f"{_META}.Time", f"{_META}.MicroTime"):
        micro = value.replace("Z", ".000000Z") if name == "MicroTime" else value
        return number(1, int(seconds_of(value) or 0)), micro
    if name == "Quantity":
        return text(1, value), value
    if name == "IntOrString":
        return number(1, 1) + text(3, value), value
    if name in ("RawExtension", "FieldsV1", "JSON"):
        return text(1, orjson.dumps(value)), value
    if isinstance(value, list):
        return b"".join(text(1, item) for item in value), value
    kept: dict[str, Any] = {}
    return encode(message, value, kept), kept


@pytest.mark.parametrize("resource", RESOURCES, ids=str)
def test_every_field_that_go_clients_send_is_read(resource):
    full = sample(schema_of_kind(resource.api_version, resource.kind))
    for own in ("apiVersion", "kind"):
        full.pop(own, None)
    kept: dict[str, Any] = {}
    data = encode(message_name(resource.api_version, resource.kind), full, kept)
    assert kept.keys() - {"metadata"}
    assert decode_protobuf(body(resource.api_version, resource.kind, data)) == {
        "apiVersion": resource.api_version, "kind": resource.kind, **kept,
    }  # fmt: skip


def test_a_class_keeps_the_group_of_its_parameters():
    """Whose name in the descriptors is not its name in JSON."""
    reference = text(1, "example.test") + text(2, "Settings") + text(3, "s")
    found = decode_protobuf(body("networking.k8s.io/v1", "IngressClass", text(2, text(2, reference))))
    assert found["spec"]["parameters"] == {"apiGroup": "example.test", "kind": "Settings", "name": "s"}
