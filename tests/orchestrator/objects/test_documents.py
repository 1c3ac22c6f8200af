"""Discovery and OpenAPI: the documents from which clients learn what is served."""

import copy
import json

import pytest

from orchestrator.objects import crds, discovery, kinds, openapi


def test_groups_list_their_versions_preferred_first():
    group = discovery.group(kinds.BUILT_IN, "autoscaling")
    assert [version["version"] for version in group["versions"]] == ["v2", "v1"]
    assert group["preferredVersion"]["version"] == "v2"
    assert discovery.group(kinds.BUILT_IN, "nope") is None
    names = [item["name"] for item in discovery.group_list(kinds.BUILT_IN)["groups"]]
    assert names[0] == "apps" and "" not in names


def test_resource_lists_name_subresources_and_their_kinds():
    listed = {item["name"]: item for item in discovery.resource_list(kinds.BUILT_IN, "apps", "v1")["resources"]}
    assert listed["deployments"]["shortNames"] == ["deploy"] and listed["deployments"]["singularName"] == "deployment"
    assert listed["deployments/scale"]["kind"] == "Scale" and listed["deployments/scale"]["group"] == "autoscaling"
    assert listed["deployments/status"]["verbs"] == ["get", "patch", "update"]


def test_aggregated_discovery_tells_the_same():
    document = discovery.aggregated(kinds.BUILT_IN, core=True)
    (group,) = document["items"]
    pods = next(item for item in group["versions"][0]["resources"] if item["resource"] == "pods")
    assert pods["scope"] == "Namespaced" and pods["responseKind"] == {"group": "", "version": "v1", "kind": "Pod"}
    assert {item["subresource"] for item in pods["subresources"]} >= {"log", "exec", "eviction", "status"}


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["v1beta1", "v1", "v2", "v1alpha1", "v10"], ["v10", "v2", "v1", "v1beta1", "v1alpha1"]),
        (["foo", "v1"], ["v1", "foo"]),
    ],
)
def test_versions_are_ordered_as_kubernetes_orders_them(names, ordered):
    assert sorted(names, key=discovery.version_priority) == ordered


@pytest.fixture(scope="module")
def documents():
    return openapi.Documents(kinds.BUILT_IN)


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rsplit("/", 1)[-1]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_every_document_holds_all_it_refers_to(documents):
    for path in documents.paths():
        document = json.loads(documents.group_version(path))
        missing = set(references(document)) - document["components"]["schemas"].keys()
        assert missing <= {"io.k8s.api.metrics.v1beta1.NodeMetrics", "io.k8s.api.metrics.v1beta1.PodMetrics"}, path
    swagger = json.loads(documents.swagger())
    assert not {n for n in set(references(swagger)) - swagger["definitions"].keys() if "metrics" not in n}


def test_paths_tell_kubectl_what_it_may_send(documents):
    document = json.loads(documents.group_version("apis/apps/v1"))
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"dryRun", "fieldValidation"} <= {parameter["name"] for parameter in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}


def test_published_types_are_openapis(documents):
    schemas = json.loads(documents.group_version("apis/apps/v1"))["components"]["schemas"]
    spec = schemas["io.k8s.api.apps.v1.DeploymentSpec"]["properties"]
    assert spec["replicas"]["type"] == "integer"
    assert spec["strategy"]["x-kubernetes-patch-strategy"] == "retainKeys"
    assert "enum" not in schemas["io.k8s.api.apps.v1.Deployment"]["properties"]["kind"]


def test_the_hash_changes_with_what_is_served(documents, widgets):
    more = openapi.Documents([*kinds.BUILT_IN, widgets])
    assert more.hash("apis/apps/v1") == documents.hash("apis/apps/v1")
    assert more.hash() != documents.hash()
    document = json.loads(more.group_version("apis/example.com/v1"))
    schema = document["components"]["schemas"]["com.example.v1.Widget"]
    assert schema["properties"]["spec"]["properties"]["size"]["minimum"] == 1
    assert documents.group_version("apis/example.com/v1") is None


def fields(data):
    """The fields of a protocol buffer message: (number, value)."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = varint()
            yield key >> 3, data[at : at + size]
            at += size


def one(data, number):
    return next(value for key, value in fields(data) if key == number)


def test_the_protobuf_document_says_the_same_as_the_json_one(documents):
    swagger = json.loads(documents.swagger())
    encoded = documents.swagger_protobuf()
    assert one(encoded, 1) == b"2.0"
    named = {one(entry, 1).decode(): one(entry, 2) for _, entry in fields(one(encoded, 9))}
    assert named.keys() == swagger["definitions"].keys()
    properties = {
        one(entry, 1).decode(): one(entry, 2) for _, entry in fields(one(named["io.k8s.api.core.v1.ServiceSpec"], 25))
    }
    assert properties.keys() == swagger["definitions"]["io.k8s.api.core.v1.ServiceSpec"]["properties"].keys()
    ports = properties["ports"]
    assert one(one(ports, 22), 1) == b"array"
    assert one(one(one(ports, 23), 1), 1) == b"#/definitions/io.k8s.api.core.v1.ServicePort"
    extensions = {one(entry, 1): one(one(entry, 2), 2) for key, entry in fields(ports) if key == 31}
    assert extensions[b"x-kubernetes-patch-merge-key"] == b'"port"'


def published(widget_definition, schema, path="swagger"):
    widget_definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = schema
    document = openapi.Documents(crds.custom_resources(widget_definition))
    return json.loads(document.swagger())["definitions"]["com.example.v1.Widget"]


def test_old_clients_see_custom_kinds_without_what_they_cannot_read(widget_definition):
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object",
                "required": ["a", "b"],
                "properties": {
                    "a": {"type": "string", "nullable": True},
                    "b": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {}},
                    "c": {"anyOf": [{"type": "string"}], "x-kubernetes-int-or-string": True},
                },
            }
        },
    }
    shown = published(widget_definition, schema)
    assert shown["properties"]["spec"] == {
        "type": "object",
        "required": ["b"],
        "properties": {
            "a": {},
            "b": {"x-kubernetes-preserve-unknown-fields": True},
            "c": {"x-kubernetes-int-or-string": True},
        },
    }
    assert shown["properties"]["apiVersion"]["description"].startswith("APIVersion defines")


def test_a_kind_that_allows_anything_shows_no_fields(widget_definition):
    shown = published(widget_definition, {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    del shown["x-kubernetes-group-version-kind"]
    assert shown == {"type": "object"}


def test_publishing_leaves_the_definition_as_it_is(widget_definition):
    before = copy.deepcopy(widget_definition)
    documents = openapi.Documents(crds.custom_resources(widget_definition))
    documents.group_version("apis/example.com/v1")
    documents.swagger_protobuf()
    assert widget_definition == before
