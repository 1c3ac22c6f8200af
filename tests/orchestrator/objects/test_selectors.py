import pytest

from orchestrator import errors
from orchestrator.objects import kinds, selectors

LABELS = {"app": "web", "tier": "front", "n": "5"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app", True),
        ("!app", False),
        ("app=web", True),
        ("app==web", True),
        ("app!=web", False),
        ("missing!=x", True),
        ("tier in (front, back)", True),
        ("tier notin (front)", False),
        ("zone notin (a)", True),
        ("zone in (a)", False),
        ("app=web,tier=back", False),
        ("app=web, !old , tier", True),
        ("n>4", True),
        ("n<5", False),
        ("example.com/x=1", False),
        ("app in (web),n", True),
        ("app=", False),
        ("app in ()", False),
    ],
)
def test_label_selectors_match_as_written(text, matches):
    assert selectors.parse_label_selector(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    "text", ["a=b=c", "a in", "a in (b", ",", "a,", "=x", "a b", "a>x", "a=!", "-a=b", "a=b c", "a in b)"]
)
def test_broken_label_selectors_are_refused(text):
    with pytest.raises(errors.BadRequest, match="unable to parse requirement"):
        selectors.parse_label_selector(text)


def test_a_selector_object_needs_all_of_its_parts():
    selector = selectors.label_selector_from_object(
        {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}]}
    )
    assert selector.matches(LABELS)
    assert not selector.matches({"app": "web"})
    assert str(selector) == "app=web,tier=front"


def test_an_absent_selector_selects_nothing_and_an_empty_one_everything():
    assert not selectors.label_selector_from_object(None).matches(LABELS)
    assert selectors.label_selector_from_object({}).matches(LABELS)
    assert not selectors.label_selector_from_map({}).matches(LABELS)


@pytest.mark.parametrize(
    ("resource", "text", "obj", "matches"),
    [
        (kinds.PODS, "status.phase!=Running,spec.nodeName=a", {"spec": {"nodeName": "a"}}, True),
        (kinds.PODS, "spec.nodeName=", {"spec": {}}, True),
        (kinds.PODS, "metadata.namespace=default", {}, True),
        (kinds.NODES, "spec.unschedulable=false", {}, True),
        (kinds.NODES, "spec.unschedulable=true", {"spec": {"unschedulable": True}}, True),
        (
            kinds.EVENTS,
            "involvedObject.name=x,type=Warning",
            {"involvedObject": {"name": "x"}, "type": "Warning"},
            True,
        ),
        (kinds.EVENTS, "involvedObject.kind=Pod", {"involvedObject": {"kind": "Node"}}, False),
        (kinds.SECRETS, "type=Opaque", {"type": "Opaque"}, True),
        (kinds.JOBS, "status.successful=1", {"status": {"succeeded": 1}}, True),
    ],
)
def test_field_selectors_read_each_kinds_fields(resource, text, obj, matches):
    obj = {"metadata": {"name": "x", "namespace": "default"}, **obj}
    assert selectors.parse_field_selector(resource, text).matches(obj) is matches


def test_a_field_the_kind_lacks_is_named():
    with pytest.raises(errors.BadRequest, match='field label not supported: "spec.nodeName"'):
        selectors.parse_field_selector(kinds.CONFIGMAPS, "spec.nodeName=x")
    with pytest.raises(errors.BadRequest, match="can't understand 'metadata.name'"):
        selectors.parse_field_selector(kinds.PODS, "metadata.name")
