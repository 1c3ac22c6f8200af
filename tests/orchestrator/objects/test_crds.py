import copy

from orchestrator.objects import crds, kinds, selectors

NOW = "2026-01-02T00:00:00Z"


def conditions(status):
    return {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}


def test_a_definition_makes_a_resource_of_each_served_version(widget_definition):
    old = copy.deepcopy(widget_definition["spec"]["versions"][0]) | {"name": "v1beta1", "storage": False}
    gone = copy.deepcopy(old) | {"name": "v1alpha1", "served": False}
    widget_definition["spec"]["versions"] += [old, gone]
    resources = crds.custom_resources(widget_definition)
    assert [resource.version for resource in resources] == ["v1", "v1beta1"]
    assert {resource.storage_key for resource in resources} == {"widgets.example.com"}
    assert resources[0].subresources == ("status", "scale") and resources[0].short_names == ("wd",)
    assert crds.stored_version(widget_definition) == "v1"


def test_free_names_are_accepted_and_established(widget_definition):
    status = widget_definition["status"]
    assert conditions(status) == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    assert status["acceptedNames"]["listKind"] == "WidgetList" and status["storedVersions"] == ["v1"]
    again = crds.accept_names(widget_definition, [widget_definition], NOW)
    assert again == status, "nothing changes, not even the times"


def test_taken_names_are_refused(widget_definition):
    other = copy.deepcopy(widget_definition)
    other["metadata"]["name"] = "gadgets.example.com"
    other["spec"]["names"] |= {
        "plural": "gadgets",
        "singular": "gadget",
        "kind": "Widget",
        "listKind": "GadgetList",
        "shortNames": [],
    }
    other["status"] = {}
    status = crds.accept_names(other, [widget_definition, other], NOW)
    assert conditions(status) == {"NamesAccepted": ("False", "KindConflict"), "Established": ("False", "NotAccepted")}
    other["spec"]["group"] = "other.com"
    assert conditions(crds.accept_names(other, [widget_definition], NOW))["Established"][0] == "True"


def test_custom_kinds_offer_their_selectable_fields(widget_definition):
    widget_definition["spec"]["versions"][0]["selectableFields"] = [{"jsonPath": ".spec.color"}]
    (resource,) = crds.custom_resources(widget_definition)
    selector = selectors.parse_field_selector(resource, "spec.color=red")
    assert selector.matches({"metadata": {"name": "x"}, "spec": {"color": "red"}})


def test_custom_rows_join_and_leave_the_kinds(widgets):
    served = kinds.Kinds()
    served.register(widgets)
    assert served.by_kind("example.com/v1", "Widget") is widgets
    served.unregister(widgets)
    assert served.by_path("example.com", "v1", "widgets") is None
