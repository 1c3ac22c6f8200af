import pytest

from orchestrator import errors
from orchestrator.objects import decode, kinds, schema


def test_unknown_fields_are_dropped_and_named(pod):
    pod["spec"]["containers"][0]["imagee"] = "x"
    pod["surprise"] = 1
    obj, warnings = decode.decode(kinds.PODS, pod, "Warn")
    assert sorted(warnings) == ['unknown field "spec.containers[0].imagee"', 'unknown field "surprise"']
    assert "surprise" not in obj and "imagee" not in obj["spec"]["containers"][0]
    assert decode.decode(kinds.PODS, pod, "Ignore")[1] == []


def test_strict_refuses_unknown_fields_in_kubectls_words(pod):
    pod["spec"]["foo"] = 1
    with pytest.raises(errors.BadRequest) as refused:
        decode.decode(kinds.PODS, pod, "Strict")
    assert refused.value.message == (
        'Pod in version "v1" cannot be handled as a Pod: strict decoding error: unknown field "spec.foo"'
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"hostNetwork": "yes"},
            "json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
        ),
        ([], "json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec"),
        (
            {"containers": [{"name": 3}]},
            "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
        ),
        (
            {"containers": {}},
            "json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        ({"activeDeadlineSeconds": 1.5}, "json: cannot unmarshal number 1.5 into Go struct field"),
        ({"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}, "quantities must match the regular expression"),
        ({"nodeSelector": {"a": 1}}, "of type string"),
        ({"priority": 2**40}, "of type int32"),
    ],
)
def test_values_of_the_wrong_type_are_refused(spec, message):
    with pytest.raises(errors.BadRequest) as refused:
        decode.decode(kinds.PODS, {"metadata": {"name": "x"}, "spec": spec})
    assert message in refused.value.message


@pytest.mark.parametrize("body", [[], "x", 3, None, True])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(errors.BadRequest):
        decode.decode(kinds.PODS, body)


def test_a_body_of_another_kind_is_refused(pod):
    with pytest.raises(errors.BadRequest, match="unrecognized"):
        decode.decode(kinds.SERVICES, {**pod, "apiVersion": "v1", "kind": "Pod"})


def test_quantities_become_canonical_and_empties_vanish(pod):
    pod["metadata"]["labels"] = {}
    pod["metadata"]["creationTimestamp"] = None
    pod["spec"]["nodeSelector"] = None
    pod["spec"]["containers"][0] |= {"args": [], "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}}}
    obj, _ = decode.decode(kinds.PODS, pod)
    assert obj["metadata"] == {"name": "web", "namespace": "default"}
    container = obj["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"cpu": "500m", "memory": "1Gi"}
    assert "args" not in container and "nodeSelector" not in obj["spec"]


def test_decoding_never_shares_what_it_was_given(pod):
    obj, _ = decode.decode(kinds.PODS, pod)
    obj["spec"]["containers"][0]["image"] = "changed"
    obj["metadata"]["labels"] = {"a": "b"}
    assert pod["spec"]["containers"][0]["image"] == "registry.test/web:1" and "labels" not in pod["metadata"]


def test_secret_data_must_be_base64():
    with pytest.raises(errors.BadRequest, match="illegal base64 data at input byte 3"):
        decode.decode(kinds.SECRETS, {"metadata": {"name": "x"}, "data": {"a": "abc!"}})


@pytest.mark.parametrize("resource", kinds.BUILT_IN, ids=str)
def test_every_kind_has_metadata_and_decodes_its_own_skeleton(resource):
    node = schema.schema_of(resource)
    assert node.child("metadata").fields["labels"].type == schema.MAP
    obj, warnings = decode.decode(resource, {"metadata": {"name": "x"}})
    assert (obj["kind"], obj["apiVersion"], warnings) == (resource.kind, resource.api_version, [])


def test_kinds_that_are_only_sent_decode_too():
    obj, _ = decode.decode_kind(
        "autoscaling/v1", "Scale", {"metadata": {"name": "x"}, "spec": {"replicas": 3}}, "Strict"
    )
    assert obj["spec"]["replicas"] == 3
    with pytest.raises(errors.BadRequest, match="of type int32"):
        decode.decode_kind("autoscaling/v1", "Scale", {"spec": {"replicas": "3"}})


def test_custom_resources_are_pruned_to_their_schema(widgets):
    body = {
        "metadata": {"name": "x"},
        "spec": {"size": 1, "other": 2, "free": {"a": {"b": 1}}, "parts": [{"name": "p", "x": 1}]},
    }
    obj, warnings = decode.decode(widgets, body)
    assert obj["spec"] == {"size": 1, "free": {"a": {"b": 1}}, "parts": [{"name": "p"}]}
    assert sorted(warnings) == ['unknown field "spec.other"', 'unknown field "spec.parts[0].x"']


def test_problems_of_the_body_count_like_unknown_fields(pod):
    pod["spec"]["foo"] = 1
    doubled = ['duplicate field "spec.replicas"']
    assert decode.decode(kinds.PODS, pod, "Warn", doubled)[1] == ['unknown field "spec.foo"', *doubled]
    with pytest.raises(errors.BadRequest, match='error: unknown field "spec.foo", duplicate field "spec.replicas"$'):
        decode.decode(kinds.PODS, pod, "Strict", doubled)


def test_an_applied_configuration_may_hold_only_known_fields(pod, widgets):
    assert decode.decode_applied(kinds.PODS, pod)["spec"] == pod["spec"]
    with pytest.raises(errors.BadRequest) as refused:
        decode.decode_applied(widgets, {"metadata": {"name": "w"}, "unknownField": 1, "spec": {"size": 1}})
    assert refused.value.message == (
        "failed to create typed patch object (w; example.com/v1, Kind=Widget): "
        ".unknownField: field not declared in schema"
    )
