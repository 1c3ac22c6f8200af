"""A real webhook program and an unmodified kubectl: admission and conversion as operators' charts bring them."""

from __future__ import annotations

import json
import socket
import time

import pytest

from tests.orchestrator.webhook_program import Program, allow, configuration, deny, webhook


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = Program(tmp_path_factory.mktemp("webhooks"))
    yield program
    program.close()


@pytest.fixture
def configured(kubectl, program, namespace):
    """Registers webhooks for this test's namespace alone, and takes them away again."""
    program.asked.clear()
    made: set[str] = set()

    def configure(kind: str, *hooks: dict) -> None:
        selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        named = configuration(kind, namespace, *({**hook, "namespaceSelector": selector} for hook in hooks))
        kubectl("apply", "-f", "-", stdin=json.dumps(named))
        made.add(f"{kind.lower()}webhookconfiguration/{namespace}")

    yield configure
    for name in made:
        kubectl("delete", name)


def config_map(name: str, namespace: str, **data: str) -> str:
    meta = {"name": name, "namespace": namespace}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})


def test_kubectl_knows_the_kinds_and_their_columns(kubectl, program, configured):
    configured("Validating", webhook("v.maps.test", program.client("/v")))
    listed = kubectl("api-resources", "--api-group=admissionregistration.k8s.io", "-o", "name").split()
    assert {
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingwebhookconfigurations.admissionregistration.k8s.io",
        "validatingadmissionpolicies.admissionregistration.k8s.io",
        "validatingadmissionpolicybindings.admissionregistration.k8s.io",
    } <= set(listed)
    head, row = kubectl("get", "validatingwebhookconfigurations").splitlines()[:2]
    assert head.split() == ["NAME", "WEBHOOKS", "AGE"] and row.split()[1] == "1"
    assert "failurePolicy" in kubectl("explain", "validatingwebhookconfiguration.webhooks")
    described = kubectl("get", "validatingwebhookconfigurations", "-o", "json")
    hook = json.loads(described)["items"][0]["webhooks"][0]
    assert (hook["failurePolicy"], hook["matchPolicy"], hook["rules"][0]["scope"]) == ("Fail", "Equivalent", "*")


def test_kubectl_is_denied_warned_and_sees_what_was_changed(kubectl, program, namespace, configured):
    def answer(path: str, request: dict) -> dict:
        if path == "/m":
            return allow({"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}})
        if request["object"]["data"].get("bad"):
            return deny("the map holds something bad", code=403, reason="Forbidden")
        return {**allow(), "warnings": ["maps are old-fashioned"]}

    program.answer = answer
    configured("Mutating", webhook("m.maps.test", program.client("/m"), operations=("CREATE", "UPDATE")))
    configured("Validating", webhook("v.maps.test", program.client("/v"), operations=("CREATE", "UPDATE")))
    done = kubectl.run("apply", "-f", "-", stdin=config_map("good", namespace, a="1"))
    assert done.returncode == 0 and "Warning: maps are old-fashioned" in done.stderr
    assert kubectl("get", "cm", "good", "-n", namespace, "-o", "jsonpath={.metadata.labels}") == '{"seen":"yes"}'
    refused = kubectl.refused("apply", "-f", "-", stdin=config_map("bad", namespace, bad="1"))
    assert "Error from server (Forbidden)" in refused
    assert 'admission webhook "v.maps.test" denied the request: the map holds something bad' in refused
    patch = ("patch", "cm", "good", "-n", namespace, "-p", '{"data":{"bad":"1"}}')
    assert "denied the request" in kubectl.refused(*patch)
    dry = kubectl("apply", "-f", "-", "--server-side", "--dry-run=server", "-o", "json",
                  stdin=config_map("dry", namespace, a="1"))  # fmt: skip
    assert json.loads(dry)["metadata"]["labels"] == {"seen": "yes"}
    assert program.asked[-1][1]["dryRun"] is True


def test_a_webhook_that_fails_or_dawdles_stops_what_must_not_pass(kubectl, program, namespace, configured):
    nowhere = {"url": "https://127.0.0.1:1/v", "caBundle": program.ca}
    configured("Validating", webhook("closed.maps.test", nowhere))
    refused = kubectl.refused("create", "configmap", "a", "-n", namespace)
    assert 'Internal error occurred: failed calling webhook "closed.maps.test": failed to call webhook' in refused
    program.answer = lambda path, request: time.sleep(1.5) or allow()
    configured("Validating", webhook("slow.maps.test", program.client("/v"), timeoutSeconds=1))
    assert "context deadline exceeded" in kubectl.refused("create", "configmap", "b", "-n", namespace)
    configured("Validating", webhook("slow.maps.test", nowhere, failurePolicy="Ignore"))
    kubectl("create", "configmap", "c", "-n", namespace)


def test_a_webhook_may_be_a_service_of_the_cluster(kubectl, program, namespace, configured):
    """Without a selector, so that its endpoint can be a program of this host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this host has no address but its own loopback")
        address = probe.getsockname()[0]
    meta = {"name": "judge", "namespace": namespace}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": meta,
               "spec": {"ports": [{"port": 443, "targetPort": program.port}]}}  # fmt: skip
    endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta,
                 "subsets": [{"addresses": [{"ip": address}], "ports": [{"port": program.port}]}]}  # fmt: skip
    program.answer = lambda path, request: deny("the service says no")
    configured("Validating", webhook("v.maps.test", program.service("judge", namespace, "/v")))
    refused = kubectl.refused("create", "configmap", "a", "-n", namespace)
    assert 'service "judge" not found' in refused
    for each in (service, endpoints):
        kubectl("apply", "-f", "-", stdin=json.dumps(each))
    slices = ("get", "endpointslices", "-n", namespace, "-l", "kubernetes.io/service-name=judge", "-o", "name")
    deadline = time.monotonic() + 60
    while not kubectl(*slices) and time.monotonic() < deadline:
        time.sleep(0.1)
    refused = kubectl.refused("create", "configmap", "a", "-n", namespace)
    assert "x509" in refused and f"https://judge.{namespace}.svc" in refused, "its certificate is for another name"
    renamed = program.for_names(f"judge.{namespace}.svc")
    try:
        moved = {**endpoints, "subsets": [{"addresses": [{"ip": address}], "ports": [{"port": renamed.port}]}]}
        kubectl("apply", "-f", "-", stdin=json.dumps(moved))
        configured("Validating", webhook("v.maps.test", renamed.service("judge", namespace, "/v")))
        renamed.answer = program.answer
        told = "no"
        while "the service says no" not in told and time.monotonic() < deadline:
            told = kubectl.refused("create", "configmap", "a", "-n", namespace)
        assert "the service says no" in told
    finally:
        renamed.close()


def test_nobody_gets_into_a_pod_that_a_webhook_guards(kubectl, program, namespace, configured):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace}}
    pod["spec"] = {"containers": [{"name": "c", "image": "registry.test/app:1"}]}
    kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    kubectl("wait", "--for=condition=Ready", "pod/p", "-n", namespace, "--timeout=60s")
    program.answer = lambda path, request: deny("keep out")
    configured("Validating", webhook("v.exec.test", program.client("/v"), operations=("CONNECT",),
                                     resources=("pods/exec", "pods/attach")))  # fmt: skip
    assert "keep out" in kubectl.refused("exec", "p", "-n", namespace, "--", "id")
    (_, request), *_ = program.asked
    assert (request["operation"], request["name"], request["subResource"]) == ("CONNECT", "p", "exec")
    assert request["object"]["kind"] == "PodExecOptions" and request["object"]["command"] == ["id"]
    assert request["kind"] == {"group": "", "version": "v1", "kind": "PodExecOptions"}


def test_policies_judge_without_a_program(kubectl, namespace):
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"],
                                                    "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}]},
            "validations": [{"expression": "object.spec.replicas <= 5",
                             "messageExpression": "'at most 5, not ' + string(object.spec.replicas)"}],
        },
    }  # fmt: skip
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {"policyName": namespace, "validationActions": ["Deny"],
                 "matchResources": {"namespaceSelector": selector}},
    }  # fmt: skip
    for each in (policy, binding):
        kubectl("apply", "-f", "-", stdin=json.dumps(each))
    try:
        kubectl("create", "deployment", "d", "-n", namespace, "--image=registry.test/app:1")
        patch = ("patch", "deployment", "d", "-n", namespace, "-p", '{"spec":{"replicas":9}}')
        refused = kubectl.refused(*patch)
        said = f"ValidatingAdmissionPolicy '{namespace}' with binding '{namespace}' denied request: at most 5, not 9"
        assert said in refused
        columns = kubectl("get", "validatingadmissionpolicy", namespace).splitlines()
        assert columns[0].split() == ["NAME", "VALIDATIONS", "PARAMKIND", "AGE"]
        assert columns[1].split()[1:3] == ["1", "<unset>"]
        row = kubectl("get", "validatingadmissionpolicybinding", namespace).splitlines()[1]
        assert row.split()[1:3] == [namespace, "<unset>"]
    finally:
        kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", namespace)


def test_a_definition_with_a_webhook_serves_each_version(kubectl, program, namespace):
    def answer(path: str, request: dict) -> dict:
        converted = []
        for obj in request["objects"]:
            spec = dict(obj.get("spec") or {})
            old, new = ("size", "length") if request["desiredAPIVersion"].endswith("v2") else ("length", "size")
            if old in spec:
                spec[new] = spec.pop(old)
            converted.append({**obj, "apiVersion": request["desiredAPIVersion"], "spec": spec})
        return {"result": {"status": "Success"}, "convertedObjects": converted}

    program.answer = answer

    def version(name: str, field: str, storage: bool) -> dict:
        spec = {"type": "object", "properties": {field: {"type": "integer"}}}
        column = {"name": field.title(), "type": "integer", "jsonPath": f".spec.{field}"}
        schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
        return {
            "name": name,
            "served": True,
            "storage": storage,
            "schema": schema,
            "additionalPrinterColumns": [column],
        }

    webhook_ = {"clientConfig": program.client("/convert"), "conversionReviewVersions": ["v1"]}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "ropes.convert.test"},
        "spec": {
            "group": "convert.test", "scope": "Namespaced", "names": {"plural": "ropes", "kind": "Rope"},
            "versions": [version("v1", "size", True), version("v2", "length", False)],
            "conversion": {"strategy": "Webhook", "webhook": webhook_},
        },
    }  # fmt: skip
    kubectl("apply", "-f", "-", stdin=json.dumps(definition))
    try:
        kubectl("wait", "--for=condition=Established", "crd/ropes.convert.test", "--timeout=60s")
        rope = {"apiVersion": "convert.test/v1", "kind": "Rope", "metadata": {"name": "r", "namespace": namespace}}
        kubectl("apply", "-f", "-", stdin=json.dumps({**rope, "spec": {"size": 7}}))
        assert kubectl("get", "ropes.v2.convert.test", "r", "-n", namespace, "-o", "jsonpath={.spec}") == '{"length":7}'
        assert kubectl("get", "ropes.v2.convert.test", "-n", namespace).split()[-2:] == ["r", "7"]
        longer = {**rope, "apiVersion": "convert.test/v2", "spec": {"length": 8}}
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(longer))
        assert kubectl("get", "ropes.v1.convert.test", "r", "-n", namespace, "-o", "jsonpath={.spec}") == '{"size":8}'
        program.answer = lambda path, request: {"result": {"status": "Failure", "message": "the rope is cut"}}
        refused = kubectl.refused("get", "ropes.v2.convert.test", "r", "-n", namespace)
        assert "conversion webhook for convert.test/v1, Kind=Rope failed: the rope is cut" in refused
    finally:
        kubectl("delete", "crd", "ropes.convert.test")
