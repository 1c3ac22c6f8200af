"""Bodies as Go clients encode them."""

from __future__ import annotations

import struct

import pytest

from orchestrator import errors
from orchestrator.apiserver.wire.extract import messages_of_text
from orchestrator.apiserver.wire.protobuf import decode_protobuf


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def text(number: int, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def body(api_version: str, kind: str, content: bytes) -> bytes:
    return b"k8s\0" + text(1, text(1, api_version) + text(2, kind)) + text(2, content)


def test_what_kubectl_sends_for_a_config_map_is_read():
    sent = bytes.fromhex(
        "6b3873000a0f0a0276311209436f6e6669674d6170121b0a110a016112001a0022002a0032003800420012060a01781201311a002200"
    )
    assert decode_protobuf(sent) == {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"},
    }  # fmt: skip


def test_inline_structs_numbers_and_special_types_get_their_json_form():
    empty_dir = text(2, text(1, "") + text(2, text(1, "64Mi")))  # VolumeSource.emptyDir, inline in Volume
    volume = text(1, text(1, "v") + text(2, empty_dir))
    probe_handler = text(2, text(1, "/ok") + text(2, number(1, 1) + text(3, "web")))  # HTTPGet with a named port
    probe = text(10, text(1, probe_handler) + number(2, 0) + number(4, 5))
    container = text(2, text(1, "c") + probe)
    spec = text(2, volume + container + number(4, 0) + number(11, 0))
    found = decode_protobuf(body("v1", "Pod", spec))["spec"]
    assert found["volumes"] == [{"name": "v", "emptyDir": {"sizeLimit": "64Mi"}}]
    assert found["containers"][0]["livenessProbe"] == {"httpGet": {"path": "/ok", "port": "web"}, "periodSeconds": 5}
    assert found["terminationGracePeriodSeconds"] == 0, "a pointer in Go: zero is what the client said"
    assert "hostNetwork" not in found, "a plain field in Go: zero is what it is when nothing was said"


def test_only_the_types_that_are_lists_in_json_lose_their_wrapper():
    item = text(1, text(1, "namespace") + text(2, text(2, "metadata.namespace")))  # DownwardAPIVolumeFile
    source = text(1, text(2, item))  # VolumeProjection.downwardAPI
    volume = text(1, text(1, "v") + text(2, text(26, source)))
    found = decode_protobuf(body("v1", "Pod", text(2, volume)))["spec"]["volumes"][0]["projected"]["sources"]
    assert list(found[0]["downwardAPI"]) == ["items"]
    extra = text(5, text(1, "scopes") + text(2, text(1, "dev") + text(1, "test")))  # map of ExtraValue
    review = decode_protobuf(body("authorization.k8s.io/v1", "SubjectAccessReview", text(2, text(3, "u") + extra)))
    assert review["spec"] == {"user": "u", "extra": {"scopes": ["dev", "test"]}}


def definition() -> bytes:
    """A CustomResourceDefinition as Go sends it: plain fields that say nothing, pointers that do."""

    def entry(name: str, schema: bytes) -> bytes:
        return text(29, text(1, name) + text(2, schema))

    double = struct.pack("<d", 0.0)
    size = text(5, "integer") + varint(11 << 3 | 1) + double + number(12, 0) + text(8, text(1, "0"))
    name = text(5, "string") + number(14, 0) + text(20, text(1, '"a"')) + text(20, text(1, "null")) + number(37, 1)
    names = text(5, "array") + text(24, text(1, text(5, "string"))) + text(42, "set")
    labels = text(5, "object") + text(30, number(1, 1) + text(2, text(5, "string")))
    closed = text(5, "object") + text(30, number(1, 0))
    rule = text(44, text(1, "self.size >= 0") + text(2, "no"))
    anything = text(5, "object") + number(38, 1)
    spec = text(5, "object") + rule + text(23, "size") + text(8, text(1, "{}"))
    for key, schema in (("size", size), ("name", name), ("names", names), ("labels", labels), ("closed", closed)):
        spec += entry(key, schema)
    root = text(5, "object") + entry("spec", spec) + entry("status", anything)
    columns = text(6, text(1, "Size") + text(2, "integer") + text(3, "") + number(5, 1) + text(6, ".spec.size"))
    scale = text(2, text(1, ".spec.size") + text(2, ".status.size") + text(3, ".status.selector"))
    served = text(1, "v1") + number(2, 1) + number(3, 1) + text(4, text(1, root)) + text(5, text(1, b"") + scale)
    old = text(1, "v1alpha1") + number(2, 0) + number(3, 0) + text(4, text(1, anything)) + number(7, 1)
    called = text(1, "gardens") + text(2, "garden") + text(3, "gd") + text(4, "Garden") + text(5, "")
    wanted = text(1, "example.test") + text(3, called) + text(4, "Namespaced") + text(7, served + columns)
    wanted += text(7, old) + text(9, text(1, "None")) + number(10, 0)
    meta = text(1, "gardens.example.test") + text(2, "") + text(8, b"")
    status = text(2, text(1, "") + text(2, "") + text(4, "") + text(5, ""))
    return body(DEFINITIONS, "CustomResourceDefinition", text(1, meta) + text(2, wanted) + text(3, status))


DEFINITIONS = "apiextensions.k8s.io/v1"


def test_definitions_of_custom_resources_are_read_with_their_schemas():
    found = decode_protobuf(definition())["spec"]
    first, second = found["versions"]
    assert found["names"] == {"plural": "gardens", "singular": "garden", "shortNames": ["gd"], "kind": "Garden"}
    assert first["additionalPrinterColumns"] == [
        {"name": "Size", "type": "integer", "priority": 1, "jsonPath": ".spec.size"}
    ]
    assert first["subresources"]["status"] == {} and first["subresources"]["scale"]["specReplicasPath"] == ".spec.size"
    assert first["schema"]["openAPIV3Schema"] == {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "default": {},
                "required": ["size"],
                "x-kubernetes-validations": [{"rule": "self.size >= 0", "message": "no"}],
                "properties": {
                    "size": {"type": "integer", "minimum": 0, "default": 0},
                    "name": {"type": "string", "minLength": 0, "enum": ["a", None], "nullable": True},
                    "names": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "closed": {"type": "object", "additionalProperties": False},
                },
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    assert (second["served"], second["storage"], second["deprecated"]) == (False, False, True)


@pytest.mark.parametrize("sent", [b"", b"{}", b"k8s\0\xff", body("v1", "Pod", b"\x12\xff\xff\xff\xff\x7f")])
def test_broken_bodies_are_bad_requests(sent):
    with pytest.raises((errors.BadRequest, errors.UnsupportedMediaType)):
        decode_protobuf(sent)


def test_kinds_without_a_message_are_refused():
    with pytest.raises(errors.UnsupportedMediaType):
        decode_protobuf(body("example.test/v1", "Widget", b""))


def test_field_numbers_are_read_from_the_text_of_a_definition():
    content = """package k8s.io.some.v1;
message JSONSchemaProps {
  // a comment; = 9;
  optional string ref = 3;
  map<string, JSONSchemaProps> properties = 29;
  repeated k8s.io.other.v1.Rule xKubernetesListRules = 44;
}
message Empty {
}
"""
    assert dict(messages_of_text(content)) == {
        "k8s.io.some.v1.JSONSchemaProps.PropertiesEntry": {
            "1": ["key", "s", False], "2": ["value", "m", False, "k8s.io.some.v1.JSONSchemaProps"],
        },
        "k8s.io.some.v1.JSONSchemaProps": {
            "3": ["$ref", "s", False],
            "29": ["properties", "m", True, "k8s.io.some.v1.JSONSchemaProps.PropertiesEntry"],
            "44": ["x-kubernetes-list-rules", "m", True, "k8s.io.other.v1.Rule"],
        },
        "k8s.io.some.v1.Empty": {},
    }  # fmt: skip


def test_empty_texts_stay_only_where_json_has_them_too():
    toleration = text(1, "") + text(2, "Exists") + text(3, "") + text(4, "NoExecute") + number(5, 300)
    variable = text(1, "EMPTY") + text(2, "")
    header = text(1, "X-Empty") + text(2, "")
    probe = text(10, text(1, text(2, text(1, "/") + text(2, number(1, 80)) + text(5, header))))
    container = text(2, text(1, "c") + text(7, variable) + probe)
    spec = decode_protobuf(body("v1", "Pod", text(2, container + text(22, toleration))))["spec"]
    assert spec["tolerations"] == [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]
    assert spec["containers"][0]["env"] == [{"name": "EMPTY"}]
    assert spec["containers"][0]["livenessProbe"]["httpGet"]["httpHeaders"] == [{"name": "X-Empty", "value": ""}]


@pytest.mark.parametrize(
    ("wire", "written"),
    [
        (number(1, 0) + number(2, 0), None),
        (number(1, 1_700_000_000) + number(2, 5_000), "2023-11-14T22:13:20.000005Z"),
        (number(1, (1 << 64) - 62_135_596_798), "0001-01-01T00:00:02.000000Z"),
    ],
)
def test_times_are_counted_from_1970_in_both_directions(wire, written):
    found = decode_protobuf(body("coordination.k8s.io/v1", "Lease", text(2, text(1, "me") + text(4, wire))))["spec"]
    assert found == {"holderIdentity": "me"} | ({"renewTime": written} if written else {})
