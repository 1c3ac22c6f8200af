"""CustomResourceDefinitions through kubectl: served when established, gone with their instances."""

from __future__ import annotations

import json

DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.test"},
    "spec": {
        "group": "example.test",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
                },
                "additionalPrinterColumns": [{"name": "Size", "type": "string", "jsonPath": ".spec.size"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "replicas": {"type": "integer", "default": 2},
                                    "size": {"type": "string", "enum": ["small", "large"]},
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


def widget(name: str, size: str) -> str:
    meta = {"name": name, "namespace": "default"}
    return json.dumps({"apiVersion": "example.test/v1", "kind": "Widget", "metadata": meta, "spec": {"size": size}})


def test_a_definition_makes_a_kind_and_takes_it_away(kubectl):
    kubectl("apply", "-f", "-", stdin=json.dumps(DEFINITION))
    kubectl("wait", "--for=condition=Established", "crd/widgets.example.test", "--timeout=60s")
    kubectl("apply", "-f", "-", stdin=widget("w", "small"))
    refused = kubectl.refused("apply", "-f", "-", stdin=widget("v", "medium"))
    assert 'spec.size: Unsupported value: "medium": supported values: "small", "large"' in refused
    assert kubectl("get", "wd").splitlines()[1].split()[:2] == ["w", "small"]
    kubectl("scale", "widget", "w", "--replicas=5")
    assert kubectl("get", "widget", "w", "-o", "jsonpath={.spec.replicas} {.metadata.generation}") == "5 2"
    assert "replicas" in kubectl("explain", "widget.spec")
    kubectl("delete", "crd", "widgets.example.test", "--timeout=60s")
    assert "the server could not find the requested resource" in kubectl.refused(
        "get", "--raw", "/apis/example.test/v1"
    )
