import copy

from orchestrator.objects import conversions, crds, kinds

HPA = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "x", "namespace": "default", "annotations": {"a": "b"}},
    "spec": {
        "maxReplicas": 3,
        "scaleTargetRef": {"kind": "Deployment", "name": "x"},
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
            },
            {
                "type": "Resource",
                "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 70}},
            },
        ],
        "behavior": {"scaleDown": {"selectPolicy": "Min"}},
    },
    "status": {
        "currentReplicas": 1,
        "desiredReplicas": 2,
        "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 10}}}],
        "conditions": [{"type": "AbleToScale", "status": "True"}],
    },
}
EVENT = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "x", "namespace": "default"},
    "involvedObject": {"kind": "Pod", "name": "p"},
    "reason": "R",
    "message": "m",
    "type": "Normal",
    "count": 2,
    "source": {"component": "c"},
    "firstTimestamp": "2026-01-01T00:00:00Z",
    "lastTimestamp": "2026-01-01T00:00:00Z",
    "reportingComponent": "c",
}


def test_autoscalers_survive_the_way_through_version_one():
    before = copy.deepcopy(HPA)
    old = conversions.convert(HPA, kinds.HPAS_V1)
    assert old["apiVersion"] == "autoscaling/v1" and "metrics" not in old["spec"]
    assert (
        old["spec"]["targetCPUUtilizationPercentage"] == 50 and old["status"]["currentCPUUtilizationPercentage"] == 10
    )
    assert conversions.convert(old, kinds.HPAS_V2) == HPA == before


def test_events_survive_the_way_through_the_other_group():
    other = conversions.convert(EVENT, kinds.EVENTS_V1)
    assert other["eventTime"] == EVENT["firstTimestamp"]
    assert (other["note"], other["regarding"]["name"], other["deprecatedCount"]) == ("m", "p", 2)
    assert conversions.convert(other, kinds.EVENTS) == EVENT


def test_an_object_of_the_asked_version_is_returned_as_it_is():
    assert conversions.convert(HPA, kinds.HPAS_V2) is HPA
    assert conversions.stored_resource(kinds.HPAS_V1) is kinds.HPAS_V2
    assert conversions.stored_resource(kinds.PODS) is kinds.PODS


def test_a_default_added_later_shows_in_what_was_stored_before(widgets, widget_definition):
    stored = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "x"}, "spec": {"size": 1}}
    before = copy.deepcopy(stored)
    assert conversions.convert(stored, widgets)["spec"] == {"size": 1, "color": "red"}
    assert stored == before
    complete = {**stored, "spec": {"size": 1, "color": "blue"}}
    assert conversions.convert(complete, widgets) is complete


def test_versions_of_a_custom_resource_differ_in_name(widget_definition):
    newer = copy.deepcopy(widget_definition["spec"]["versions"][0]) | {"name": "v2", "storage": False}
    widget_definition["spec"]["versions"].append(newer)
    resource = crds.custom_resources(widget_definition)[1]
    stored = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "x"}, "spec": {"size": 1}}
    assert conversions.convert(stored, resource)["apiVersion"] == "example.com/v2"
