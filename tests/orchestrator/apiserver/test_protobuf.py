"""Bodies as Go clients encode them."""

from __future__ import annotations

import pytest

from orchestrator import errors
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


@pytest.mark.parametrize("sent", [b"", b"{}", b"k8s\0\xff", body("v1", "Pod", b"\x12\xff\xff\xff\xff\x7f")])
def test_broken_bodies_are_bad_requests(sent):
    with pytest.raises((errors.BadRequest, errors.UnsupportedMediaType)):
        decode_protobuf(sent)


def test_kinds_without_a_message_are_refused():
    with pytest.raises(errors.UnsupportedMediaType):
        decode_protobuf(body("example.test/v1", "Widget", b""))
