import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import errors
from orchestrator.objects import kinds
from orchestrator.objects.patch import json_patch, merge_patch, same_json
from orchestrator.objects.strategic import strategic_patch

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab/~", max_size=3)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text("abc", min_size=1, max_size=2), DOCUMENTS, max_size=4)


def difference_patch(old, new):
    """A merge patch that turns `old` into `new`, for values without null."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    patch = {key: None for key in old if key not in new}
    return patch | {
        key: difference_patch(old.get(key), value) for key, value in new.items() if not same_json(old.get(key), value)
    }


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_of_the_difference_gives_the_new_object(old, new):
    old, new = without_nulls(old), without_nulls(new)
    before = copy.deepcopy(old)
    assert same_json(merge_patch(old, difference_patch(old, new)), new)
    assert same_json(old, before)


@given(OBJECTS, OBJECTS)
def test_merge_patches_are_idempotent(target, patch):
    once = merge_patch(target, patch)
    assert same_json(merge_patch(once, patch), once)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch_follows_the_rfc(target, patch, result):
    assert merge_patch(target, patch) == result


@pytest.mark.parametrize(
    ("target", "operations", "result"),
    [
        ({"a": 1}, [{"op": "add", "path": "/b", "value": [1]}], {"a": 1, "b": [1]}),
        ({"a": [1, 3]}, [{"op": "add", "path": "/a/1", "value": 2}], {"a": [1, 2, 3]}),
        ({"a": [1]}, [{"op": "add", "path": "/a/-", "value": 2}], {"a": [1, 2]}),
        ({"a": {"b": 1}}, [{"op": "remove", "path": "/a/b"}], {"a": {}}),
        ({"a": [1, 2]}, [{"op": "remove", "path": "/a/0"}], {"a": [2]}),
        (
            {"a/b": 1, "m~n": 2},
            [{"op": "replace", "path": "/a~1b", "value": 3}, {"op": "remove", "path": "/m~0n"}],
            {"a/b": 3},
        ),
        ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
        ({"a": {"b": [1]}}, [{"op": "copy", "from": "/a", "path": "/c"}], {"a": {"b": [1]}, "c": {"b": [1]}}),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1}], {"a": 1}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"z": 1}}], {"z": 1}),
    ],
)
def test_json_patch_follows_the_rfc(target, operations, result):
    before = copy.deepcopy(target)
    assert json_patch(target, operations) == result
    assert target == before


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/missing"},
        {"op": "replace", "path": "/missing", "value": 1},
        {"op": "test", "path": "/a", "value": True},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "add", "path": "/list/01", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/a/b", "value": 1},
        {"op": "move", "from": "/list", "path": "/list/0"},
        {"op": "add", "path": "/x"},
        {"op": "remove", "path": ""},
        {"op": "move", "path": "/a"},
    ],
)
def test_operations_that_cannot_be_applied_are_unprocessable(operation):
    with pytest.raises(errors.Invalid):
        json_patch({"a": 1, "list": [1]}, [operation])


@pytest.mark.parametrize(
    "operations", [{}, ["x"], [{"op": "add"}], [{"op": "explode", "path": "/a"}], [{"path": "/a"}]]
)
def test_what_is_no_json_patch_is_a_bad_request(operations):
    with pytest.raises(errors.BadRequest):
        json_patch({"a": 1}, operations)


def containers(*items):
    return {"spec": {"template": {"spec": {"containers": list(items)}}}}


WEB, SIDE = {"name": "web", "image": "a", "env": [{"name": "A", "value": "1"}]}, {"name": "side", "image": "s"}


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        (containers(WEB, SIDE), containers({"name": "web", "image": "b"}), containers({**WEB, "image": "b"}, SIDE)),
        (containers(WEB), containers(SIDE), containers(SIDE, WEB)),
        (containers(WEB, SIDE), containers({"name": "side", "$patch": "delete"}), containers(WEB)),
        (containers(WEB), containers({"$patch": "replace"}, SIDE), containers(SIDE)),
        (
            containers(WEB, SIDE),
            {"spec": {"template": {"spec": {"$setElementOrder/containers": [{"name": "side"}, {"name": "web"}]}}}},
            containers(SIDE, WEB),
        ),
        (
            containers(WEB),
            containers({"name": "web", "env": [{"name": "B", "value": "2"}]}),
            containers({**WEB, "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]}),
        ),
        (
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]}},
            {"metadata": {"finalizers": ["b"]}},
        ),
        (
            {"metadata": {"finalizers": ["a"]}},
            {"metadata": {"finalizers": ["b"]}},
            {"metadata": {"finalizers": ["b", "a"]}},
        ),
        (
            {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}},
            {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
            {"spec": {"strategy": {"type": "Recreate"}}},
        ),
        (
            {"spec": {"selector": {"matchLabels": {"a": "b"}}}},
            {"spec": {"selector": {"$patch": "replace", "matchLabels": {"c": "d"}}}},
            {"spec": {"selector": {"matchLabels": {"c": "d"}}}},
        ),
        (
            {"metadata": {"labels": {"a": "1", "b": "2"}}},
            {"metadata": {"labels": {"a": None, "c": "3"}}},
            {"metadata": {"labels": {"b": "2", "c": "3"}}},
        ),
        ({}, {"metadata": {"labels": {"a": None, "b": "1"}}}, {"metadata": {"labels": {"b": "1"}}}),
        (
            {"spec": {"template": {"spec": {"tolerations": [{"key": "a"}]}}}},
            {"spec": {"template": {"spec": {"tolerations": [{"key": "b"}]}}}},
            {"spec": {"template": {"spec": {"tolerations": [{"key": "b"}]}}}},
        ),
    ],
)
def test_strategic_patches_merge_by_kubernetes_keys(target, patch, result):
    before = copy.deepcopy(target)
    assert strategic_patch(kinds.DEPLOYMENTS, target, patch) == result
    assert target == before


def test_a_list_item_without_its_merge_key_is_refused():
    with pytest.raises(errors.BadRequest, match="does not contain declared merge key: name"):
        strategic_patch(kinds.DEPLOYMENTS, containers(WEB), containers({"image": "x"}))


def test_custom_resources_take_no_strategic_patch(widgets):
    with pytest.raises(errors.UnsupportedMediaType, match="application/merge-patch"):
        strategic_patch(widgets, {}, {})
