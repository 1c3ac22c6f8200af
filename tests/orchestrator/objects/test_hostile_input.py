"""Whatever a client sends, the answer is an object or an error of the API, never a crash."""

import copy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator import errors
from orchestrator.objects import apply, conversions, decode, defaults, kinds, printers, schema, strategy, validation

NOW = "2026-01-01T00:00:00Z"
TEXTS = st.sampled_from(
    [
        "",
        "a",
        "web",
        "A_b",
        "None",
        "Always",
        "RollingUpdate",
        "x" * 70,
        "a/b",
        "10%",
        "-1",
        "0",
        "1",
        "100m",
        "../x",
        "é",
        "*",
        "10.0.0.1",
        "10.0.0.0/8",
    ]
)
NUMBERS = st.sampled_from([-1, 0, 1, 2, 80, 65536, 2**31 - 1])
BY_TYPE = {
    schema.STRING: TEXTS,
    schema.INTEGER: NUMBERS,
    schema.NUMBER: NUMBERS,
    schema.BOOLEAN: st.booleans(),
    schema.QUANTITY: st.sampled_from(["0", "1", "-1", "100m", "1Gi", "1.5", "1e3"]),
    schema.INT_OR_STRING: st.sampled_from([0, 1, -1, 80, "25%", "101%", "http", "", "x%"]),
    schema.BYTES: st.sampled_from(["", "YQ==", "e30="]),
    schema.TIME: st.just(NOW),
    schema.ANY: st.sampled_from([{}, {"a": 1}, [], "x", 1, None, True]),
}
DEPTH = 7


@st.composite
def values(draw, node, depth=0):
    """A value of the node's type, or now and then something else altogether."""
    if draw(st.integers(0, 60)) == 0:
        return draw(st.sampled_from([None, 1, "x", [], {}, [None], {"a": None}, True, 1.5]))
    if node.type in BY_TYPE:
        return draw(BY_TYPE[node.type])
    if depth >= DEPTH:
        return [] if node.type == schema.LIST else {}
    if node.type == schema.LIST:
        return [draw(values(node.items, depth + 1)) for _ in range(draw(st.integers(0, 2)))]
    if node.type == schema.MAP:
        return {draw(TEXTS): draw(values(node.items, depth + 1)) for _ in range(draw(st.integers(0, 2)))}
    fields = sorted(node.fields)
    chosen = set(draw(st.lists(st.sampled_from(fields), max_size=4))) if fields else set()
    for name in node.required & set(fields):
        if draw(st.integers(0, 9)):
            chosen.add(name)
    if depth == 0:
        chosen |= {"spec", "template", "rules", "data"} & set(fields)
    return {name: draw(values(node.fields[name], depth + 1)) for name in sorted(chosen)}


def write(resource, body, old=None):
    obj, _ = decode.decode(resource, body, "Ignore")
    obj["metadata"] |= {"uid": "u", "creationTimestamp": NOW}
    defaults.apply_defaults(resource, obj)
    if old is None:
        strategy.prepare_create(resource, obj)
        validation.validate_create(resource, obj)
    else:
        strategy.prepare_update(resource, obj, old)
        validation.validate_update(resource, obj, old)
    apply.track_update(resource, obj, old, manager="m", now=NOW)
    return obj


def without_owners(obj):
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}


@pytest.mark.parametrize("resource", kinds.BUILT_IN, ids=str)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_kind_answers_in_the_apis_terms(resource, data):
    node = schema.schema_of(resource)
    body = data.draw(values(node))
    if isinstance(body, dict) and isinstance(body.get("metadata", {}), dict):
        body["metadata"] = {
            **body.get("metadata", {}),
            "name": "x",
            "namespace": "default" if resource.namespaced else "",
        }
        body = {key: value for key, value in body.items() if key not in ("apiVersion", "kind")}
    sent = copy.deepcopy(body)
    try:
        obj = write(resource, body)
    except errors.ApiError as refused:
        assert 400 <= refused.code < 500 and refused.message
        obj = None
    assert body == sent
    try:
        configuration = decode.decode_applied(resource, body)
        applied = apply.apply_patch(resource, obj, configuration, manager="other", force=True, now=NOW)
        again = apply.apply_patch(resource, applied, configuration, manager="other", now=NOW)
        assert without_owners(again) == without_owners(applied)
    except errors.ApiError as refused:
        assert 400 <= refused.code < 500
    if obj is not None:
        printers.table(resource, [obj], now=0.0)
        stored = conversions.stored_resource(resource)
        conversions.convert(conversions.convert(obj, stored), resource)
        again = data.draw(values(node))
        try:
            write(resource, {**again, "metadata": obj["metadata"]} if isinstance(again, dict) else again, obj)
        except errors.ApiError as refused:
            assert 400 <= refused.code < 500


@pytest.mark.parametrize("resource", [kinds.PODS, kinds.DEPLOYMENTS, kinds.SERVICES, kinds.CRDS], ids=str)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_tables_of_odd_objects_still_print(resource, data):
    node = schema.schema_of(resource)
    status = data.draw(values(node.child("status")))
    obj, _ = decode.decode(resource, {"metadata": {"name": "x", "creationTimestamp": NOW}})
    if isinstance(status, dict):
        try:
            obj, _ = decode.decode(resource, {"metadata": {"name": "x"}, "status": status})
        except errors.BadRequest:
            return
    printers.table(resource, [obj], now=0.0)
