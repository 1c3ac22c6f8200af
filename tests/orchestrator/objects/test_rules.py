"""The rules that definitions write themselves, in the Common Expression Language."""

import pytest

from orchestrator.objects import crds, kinds
from tests.orchestrator.objects.bodies_at_fault import changed, refusal


@pytest.fixture
def ruled(widget_definition):
    """Makes the widgets' resource with rules on its spec."""

    def make(*rules, at="spec"):
        schema = widget_definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        target = schema if at == "spec" else schema["properties"]["parts"]["items"]
        target["x-kubernetes-validations"] = list(rules)
        return crds.custom_resources(widget_definition)[0]

    return make


def widget(**spec):
    return {"metadata": {"name": "x", "namespace": "default"}, "spec": spec}


def test_a_failed_rule_speaks_with_its_own_words(create, ruled):
    resource = ruled(
        {"rule": "self.size < 5", "message": "too large"}, {"rule": "self.color != 'blue' || self.size > 2"}
    )
    assert create(resource, widget(size=1))
    assert refusal(create, resource, widget(size=6)).message == (
        'Widget.example.com "x" is invalid: spec: Invalid value: "object": too large'
    )
    assert (
        "failed rule: self.color != 'blue' || self.size > 2"
        in refusal(create, resource, widget(size=1, color="blue")).message
    )


def test_rules_may_compute_their_message_reason_and_path(create, ruled):
    resource = ruled(
        {
            "rule": "self.size % 2 == 0",
            "messageExpression": "'odd: ' + string(self.size)",
            "reason": "FieldValueForbidden",
            "fieldPath": ".size",
        }
    )
    assert "spec.size: Forbidden: odd: 3" in refusal(create, resource, widget(size=3)).message


def test_transition_rules_wait_for_a_past(create, update, ruled):
    resource = ruled({"rule": "self.size >= oldSelf.size", "message": "cannot shrink"})
    old = create(resource, widget(size=5))
    assert update(resource, changed(old, "spec.size", 6), old)
    assert "cannot shrink" in refusal(update, resource, changed(old, "spec.size", 4), old).message


def test_rules_on_list_items_see_the_item_of_the_same_key(create, update, ruled):
    resource = ruled({"rule": "self.count == oldSelf.count", "message": "count is fixed"}, at="parts")
    old = create(resource, widget(size=1, parts=[{"name": "a", "count": 1}, {"name": "b", "count": 2}]))
    swapped = changed(
        old, "spec.parts", [{"name": "b", "count": 2}, {"name": "a", "count": 1}, {"name": "c", "count": 9}]
    )
    assert update(resource, swapped, old)
    grown = changed(old, "spec.parts", [{"name": "a", "count": 7}])
    assert 'spec.parts[0]: Invalid value: "object": count is fixed' in refusal(update, resource, grown, old).message


def test_rules_wait_until_the_object_fits_its_schema(create, ruled):
    resource = ruled({"rule": "self.size < 5"})
    assert "some validation rules were not checked" in refusal(create, resource, widget(size="x")).message


def test_rules_that_do_not_compile_refuse_the_definition(create, widget_definition):
    path = "spec.versions.0.schema.openAPIV3Schema.properties.spec.x-kubernetes-validations"
    bad = changed(widget_definition, path, [{"rule": "self.size <"}])
    assert "compilation failed" in refusal(create, kinds.CRDS, bad).message
