"""Objects as a request would bring them, taken through the steps of a write."""

import copy

import pytest

from orchestrator.objects import apply, crds, decode, defaults, kinds, strategy, validation

NOW = "2026-01-01T00:00:00Z"


@pytest.fixture
def container():
    return {"name": "web", "image": "registry.test/web:1"}


@pytest.fixture
def pod(container):
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": {"containers": [container]}}


@pytest.fixture
def deployment(container):
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    }


@pytest.fixture
def create():
    """A request's body to the object a server would store. Raises what the server would answer."""

    def run(resource, body, *, manager="tester", validation_mode="Strict"):
        body = copy.deepcopy(body)
        obj, _ = decode.decode(resource, body, validation_mode)
        obj["metadata"] |= {"uid": "11111111-2222", "creationTimestamp": NOW}
        defaults.apply_defaults(resource, obj)
        strategy.prepare_create(resource, obj)
        validation.validate_create(resource, obj)
        apply.track_update(resource, obj, None, manager=manager, now=NOW)
        return obj

    return run


@pytest.fixture
def update():
    def run(resource, new, old, *, subresource="", manager="tester"):
        obj, _ = decode.decode(resource, new, "Strict")
        defaults.apply_defaults(resource, obj)
        strategy.prepare_update(resource, obj, old, subresource)
        validation.validate_update(resource, obj, old, subresource)
        apply.track_update(resource, obj, old, manager=manager, subresource=subresource, now=NOW)
        return obj

    return run


WIDGETS = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
                },
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
                ],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {
                                    "size": {"type": "integer", "minimum": 1},
                                    "color": {"type": "string", "default": "red", "enum": ["red", "blue"]},
                                    "limit": {"x-kubernetes-int-or-string": True},
                                    "parts": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["name"],
                                        "items": {
                                            "type": "object",
                                            "required": ["name"],
                                            "properties": {
                                                "name": {"type": "string"},
                                                "count": {"type": "integer", "default": 1},
                                            },
                                        },
                                    },
                                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                },
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture
def widget_definition(create):
    definition = create(kinds.CRDS, WIDGETS)
    definition["status"] = crds.accept_names(definition, [definition], NOW)
    return definition


@pytest.fixture
def widgets(widget_definition):
    """The resource a definition makes."""
    (resource,) = crds.custom_resources(widget_definition)
    return resource
