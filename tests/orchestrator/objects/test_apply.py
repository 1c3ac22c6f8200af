import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import errors
from orchestrator.objects import apply, decode, kinds
from orchestrator.objects.fieldsets import added, difference, intersection, paths, union
from orchestrator.objects.schema import schema_of

LATER = "2026-01-02T00:00:00Z"


def applied(live, body, manager="alice", resource=kinds.DEPLOYMENTS, **options):
    configuration, _ = decode.decode(resource, copy.deepcopy(body), "Strict")
    before = copy.deepcopy(live)
    result = apply.apply_patch(resource, live, configuration, manager=manager, now=LATER, **options)
    assert live == before, "the live object is never changed"
    return result


def owned(obj, manager, subresource=""):
    for entry in obj["metadata"].get("managedFields", ()):
        if entry["manager"] == manager and entry.get("subresource", "") == subresource:
            return set(paths(entry["fieldsV1"]))
    return set()


def test_applying_creates_and_owns_just_what_was_sent(deployment):
    obj = applied(None, deployment)
    assert obj["spec"] == deployment["spec"]
    assert owned(obj, "alice") == {
        ".spec.selector", ".spec.template.metadata.labels.app", '.spec.template.spec.containers[name="web"]',
        '.spec.template.spec.containers[name="web"].image', '.spec.template.spec.containers[name="web"].name',
    }  # fmt: skip


def test_applying_the_same_again_changes_nothing(deployment):
    obj = applied(None, deployment)
    assert applied(obj, deployment) == obj


def test_a_field_left_out_is_removed_unless_someone_else_owns_it(deployment):
    deployment["spec"]["replicas"] = 3
    deployment["metadata"]["labels"] = {"a": "1", "b": "2"}
    obj = applied(None, deployment)
    obj = applied(obj, {"metadata": {"name": "web", "namespace": "default", "labels": {"b": "2"}}}, "bob")
    del deployment["spec"]["replicas"], deployment["metadata"]["labels"]
    obj = applied(obj, deployment)
    assert "replicas" not in obj["spec"]
    assert obj["metadata"]["labels"] == {"b": "2"}
    assert owned(obj, "bob") == {".metadata.labels.b"}


def test_a_dropped_container_goes_with_its_defaults(deployment):
    side = {"name": "side", "image": "s"}
    deployment["spec"]["template"]["spec"]["containers"].append(side)
    obj = applied(None, deployment)
    obj["spec"]["template"]["spec"]["containers"][1]["imagePullPolicy"] = "Always"
    deployment["spec"]["template"]["spec"]["containers"].pop()
    names = [item["name"] for item in applied(obj, deployment)["spec"]["template"]["spec"]["containers"]]
    assert names == ["web"]


def test_anothers_field_is_a_conflict_that_names_owner_and_path(deployment):
    obj = applied(None, deployment)
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    with pytest.raises(errors.Conflict) as refused:
        applied(obj, deployment, "bob")
    assert refused.value.message == (
        'Apply failed with 1 conflict: conflict with "alice": .spec.template.spec.containers[name="web"].image'
    )
    assert refused.value.causes == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "alice"',
            "field": '.spec.template.spec.containers[name="web"].image',
        }
    ]


def test_several_conflicts_are_listed_by_owner(deployment, create):
    deployment["spec"]["replicas"] = 1
    obj = create(kinds.DEPLOYMENTS, deployment, manager="kubectl-client-side-apply")
    deployment["spec"] |= {"replicas": 2, "paused": True}
    deployment["spec"]["template"]["metadata"]["labels"]["app"] = "x"
    with pytest.raises(errors.Conflict) as refused:
        applied(obj, deployment, "bob")
    assert refused.value.message == (
        'Apply failed with 2 conflicts: conflicts with "kubectl-client-side-apply" using apps/v1:\n'
        "- .spec.replicas\n- .spec.template.metadata.labels.app"
    )


def test_force_takes_the_field_over(deployment):
    obj = applied(None, deployment)
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    obj = applied(obj, deployment, "bob", force=True)
    image = '.spec.template.spec.containers[name="web"].image'
    assert obj["spec"]["template"]["spec"]["containers"][0]["image"] == "other"
    assert image in owned(obj, "bob") and image not in owned(obj, "alice")


def test_equal_values_are_shared_without_conflict(deployment):
    obj = applied(applied(None, deployment), deployment, "bob")
    assert owned(obj, "alice") == owned(obj, "bob")


def test_an_update_takes_ownership_of_just_what_it_changes(deployment, create, update):
    obj = create(kinds.DEPLOYMENTS, deployment, manager="creator")
    new = copy.deepcopy(obj)
    new["spec"]["replicas"] = 7
    obj = update(kinds.DEPLOYMENTS, new, obj, manager="scaler")
    assert owned(obj, "scaler") == {".spec.replicas"}
    assert ".spec.replicas" not in owned(obj, "creator") and ".spec.strategy.type" in owned(obj, "creator")


def test_an_update_that_changes_nothing_leaves_the_entries_alone(deployment, create, update):
    obj = create(kinds.DEPLOYMENTS, deployment)
    assert update(kinds.DEPLOYMENTS, copy.deepcopy(obj), obj, manager="other")["metadata"] == obj["metadata"]


def test_status_writers_get_an_entry_of_their_own(deployment, create, update):
    obj = create(kinds.DEPLOYMENTS, deployment)
    new = copy.deepcopy(obj)
    new["status"] = {"replicas": 1, "conditions": [{"type": "Available", "status": "True"}]}
    new["spec"]["replicas"] = 99
    obj = update(kinds.DEPLOYMENTS, new, obj, subresource="status", manager="controller")
    assert obj["spec"]["replicas"] == 1
    assert owned(obj, "controller", "status") == {
        ".status.replicas", ".status.conditions", '.status.conditions[type="Available"]',
        '.status.conditions[type="Available"].type', '.status.conditions[type="Available"].status',
    }  # fmt: skip


def test_writers_can_hand_fields_over_or_forget_all(deployment, create, update):
    obj = create(kinds.DEPLOYMENTS, deployment, manager="kubectl-client-side-apply")
    moved = copy.deepcopy(obj)
    moved["metadata"]["managedFields"][0] |= {"manager": "kubectl", "operation": "Apply"}
    obj = update(kinds.DEPLOYMENTS, moved, obj)
    assert [(e["manager"], e["operation"]) for e in obj["metadata"]["managedFields"]] == [("kubectl", "Apply")]
    forgotten = copy.deepcopy(obj)
    forgotten["metadata"]["managedFields"] = [{}]
    assert "managedFields" not in update(kinds.DEPLOYMENTS, forgotten, obj)["metadata"]


def test_the_oldest_updaters_are_folded_into_one(deployment, create, update):
    obj = create(kinds.DEPLOYMENTS, deployment)
    for number in range(15):
        new = copy.deepcopy(obj)
        new["metadata"].setdefault("annotations", {})[f"a{number}"] = "x"
        obj = update(kinds.DEPLOYMENTS, new, obj, manager=f"writer-{number}")
    managers = [entry["manager"] for entry in obj["metadata"]["managedFields"]]
    assert len(managers) <= apply.MAX_UPDATE_MANAGERS + 1 and "ancient-changes" in managers


def test_ports_are_told_apart_by_port_and_protocol():
    ports = [{"port": 53, "protocol": "UDP"}, {"port": 53}]
    body = {"metadata": {"name": "dns", "namespace": "default"}, "spec": {"ports": ports}}
    obj = applied(None, body, resource=kinds.SERVICES)
    obj = applied(
        obj,
        {**body, "spec": {"ports": [{"port": 53, "protocol": "TCP", "name": "tcp"}]}},
        "bob",
        resource=kinds.SERVICES,
    )
    assert obj["spec"]["ports"] == [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP", "name": "tcp"}]


def test_an_item_without_its_key_cannot_be_applied(deployment):
    deployment["spec"]["template"]["spec"]["containers"].append({"image": "x"})
    with pytest.raises(errors.BadRequest, match='omits key field "name"'):
        applied(None, deployment)


def test_applied_custom_resources_merge_lists_by_their_keys(widgets):
    def body(*parts):
        return {"metadata": {"name": "w", "namespace": "default"}, "spec": {"size": 1, "parts": list(parts)}}

    obj = applied(None, body({"name": "a"}), resource=widgets)
    obj = applied(obj, body({"name": "b"}), "bob", resource=widgets)
    assert [part["name"] for part in obj["spec"]["parts"]] == ["a", "b"]


KEYS = st.sampled_from(["a", "b", "c"])
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(KEYS, st.sampled_from(["1", "2"]), max_size=3),
        "replicas": st.integers(0, 2),
        "containers": st.lists(
            st.fixed_dictionaries({"name": KEYS}, optional={"image": st.sampled_from(["x", "y"]), "env": st.lists(
                st.fixed_dictionaries({"name": KEYS}, optional={"value": st.sampled_from(["1", "2"])}),
                max_size=2, unique_by=lambda item: item["name"])}),
            max_size=3, unique_by=lambda item: item["name"]),
    },
)  # fmt: skip


def configuration(config):
    body = {"metadata": {"name": "web", "namespace": "default"}, "spec": {}}
    if "labels" in config:
        body["metadata"]["labels"] = config["labels"]
    if "replicas" in config:
        body["spec"]["replicas"] = config["replicas"]
    if "containers" in config:
        body["spec"]["template"] = {"spec": {"containers": config["containers"]}}
    return body


def leaves(obj):
    """Every path and value of an object, list items by name."""
    found = {}

    def walk(value, path):
        if isinstance(value, dict):
            for key, item in value.items():
                walk(item, f"{path}.{key}")
        elif isinstance(value, list):
            for item in value:
                walk(item, f"{path}[{item['name']}]")
        else:
            found[path] = value

    walk({key: obj[key] for key in ("spec",) if key in obj}, "")
    walk((obj["metadata"].get("labels") or {}), ".metadata.labels")
    return found


@given(st.lists(st.tuples(st.sampled_from(["alice", "bob"]), CONFIGS), min_size=1, max_size=5))
def test_after_forced_applies_the_object_is_what_its_owners_last_said(steps):
    live, said = None, {}
    for manager, config in steps:
        body = configuration(config)
        live = applied(live, body, manager, force=True)
        mine = leaves(decode.decode(kinds.DEPLOYMENTS, body)[0])
        for other in said:
            if other != manager:
                said[other] = {path: value for path, value in said[other].items() if mine.get(path, value) == value}
        said[manager] = mine
    expected = {}
    for claimed in said.values():
        expected |= claimed
    assert leaves(live) == expected


@given(CONFIGS, CONFIGS)
def test_field_sets_obey_the_laws_of_sets(left, right):
    node = schema_of(kinds.DEPLOYMENTS)
    a, b = (added(node, decode.decode(kinds.DEPLOYMENTS, configuration(config))[0]) for config in (left, right))
    a, b = ({key: value for key, value in tree.items() if key != "."} for tree in (a, b))
    all_a, all_b = set(paths(a)), set(paths(b))
    assert set(paths(union(a, b))) == all_a | all_b
    assert set(paths(intersection(a, b))) == all_a & all_b
    assert set(paths(difference(a, b))) == all_a - all_b


@pytest.mark.parametrize(
    ("manager", "applying", "force", "message"),
    [
        (
            "",
            True,
            False,
            'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
        ),
        ("x" * 129, False, False, "fieldManager: Too long: may not be more than 128 bytes"),
        ("a\nb", True, False, "should only contain printable characters"),
        ("kubectl", False, True, "force: Forbidden: may not be specified for non-apply patch"),
    ],
)
def test_patches_must_name_a_proper_manager(manager, applying, force, message):
    with pytest.raises(errors.Invalid) as refused:
        apply.check_manager(manager, applying=applying, force=force)
    assert message in refused.value.message
    apply.check_manager("kubectl", applying=True, force=True)
