"""Webhook configurations and admission policies: defaults and rules."""

from __future__ import annotations

import pytest

from orchestrator import errors
from orchestrator.objects import kinds
from orchestrator.objects.defaults import apply_defaults
from orchestrator.objects.validation import validate_create


def hook(**fields) -> dict:
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    service = {"name": "s", "namespace": "n", "path": "/a"}
    return {
        "name": "a.b.c", "rules": [rule | fields.pop("rule", {})], "clientConfig": {"service": service},
        "sideEffects": "None", "admissionReviewVersions": ["v1"], **fields,
    }  # fmt: skip


def configuration(*hooks: dict) -> dict:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "c"}, "webhooks": list(hooks),
    }  # fmt: skip


def causes(resource, obj: dict) -> dict[str, str]:
    """Field → what is wrong with it, once defaults are in place."""
    apply_defaults(resource, obj)
    try:
        validate_create(resource, obj)
    except errors.Invalid as invalid:
        found: dict[str, str] = {}
        for cause in invalid.causes:
            found[cause["field"]] = "; ".join(filter(None, (found.get(cause["field"]), cause["message"])))
        return found
    return {}


def test_a_webhook_is_completed_as_kubernetes_does():
    obj = configuration(hook())
    assert causes(kinds.MUTATINGWEBHOOKS, obj) == {}
    (completed,) = obj["webhooks"]
    assert completed | {
        "failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": 10, "reinvocationPolicy": "Never",
        "namespaceSelector": {}, "objectSelector": {},
    } == completed  # fmt: skip
    assert completed["rules"][0]["scope"] == "*" and completed["clientConfig"]["service"]["port"] == 443


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"name": "a.b"}, "name", "should be a domain with at least three segments separated by dots"),
        ({"sideEffects": "Some"}, "sideEffects", 'Unsupported value: "Some"'),
        ({"sideEffects": None}, "sideEffects", "must specify one of None, NoneOnDryRun"),
        ({"timeoutSeconds": 31}, "timeoutSeconds", "the timeout value must be between 1 and 30 seconds"),
        ({"failurePolicy": "Maybe"}, "failurePolicy", 'supported values: "Fail", "Ignore"'),
        ({"admissionReviewVersions": ["v7"]}, "admissionReviewVersions", "must include at least one of v1, v1beta1"),
        ({"clientConfig": {}}, "clientConfig", "exactly one of url or service is required"),
        ({"clientConfig": {"url": "https://u:p@x/"}}, "clientConfig.url", "user information is not permitted"),
        ({"clientConfig": {"url": "https://x/?a=b"}}, "clientConfig.url", "query parameters are not permitted"),
        ({"clientConfig": {"service": {"name": "s"}}}, "clientConfig.service.namespace", "namespace is required"),
        ({"clientConfig": {"service": {"name": "s", "namespace": "n", "path": "a"}}}, "clientConfig.service.path",
         "must start with a '/'"),
        ({"matchConditions": [{"name": "x", "expression": "object.a ="}]}, "matchConditions[0].expression",
         "compilation failed"),
        ({"matchConditions": [{"name": "x", "expression": "params.a"}]}, "matchConditions[0].expression",
         "undeclared reference to 'params'"),
        ({"rule": {"operations": ["*", "CREATE"]}}, "rules[0].operations", "if '*' is present"),
        ({"rule": {"operations": ["PATCH"]}}, "rules[0].operations[0]", 'Unsupported value: "PATCH"'),
        ({"rule": {"apiVersions": []}}, "rules[0].apiVersions", "Required value"),
        ({"rule": {"resources": ["*/*", "pods"]}}, "rules[0].resources", "if '*/*' is present"),
        ({"rule": {"resources": ["pods/*", "pods/status"]}}, "rules[0].resources[1]", "if 'pods/*' is present"),
        ({"rule": {"resources": ["*", "pods"]}}, "rules[0].resources", "if '*' is present"),
        ({"rule": {"scope": "Some"}}, "rules[0].scope", 'Unsupported value: "Some"'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_webhook_is_named(fields, field, message):
    found = causes(kinds.MUTATINGWEBHOOKS, configuration(hook(**fields)))
    assert message in found[f"webhooks[0].{field}"]


def test_names_within_a_configuration_are_unique():
    assert causes(kinds.VALIDATINGWEBHOOKS, configuration(hook(), hook())) == {
        "webhooks[1].name": 'Duplicate value: "a.b.c"'
    }


def policy(**fields) -> dict:
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "true"}], **fields}
    return {"metadata": {"name": "p"}, "spec": spec}


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"validations": []}, "validations", "validations or auditAnnotations must contain at least one item"),
        ({"matchConstraints": {}}, "matchConstraints.resourceRules", "Required value"),
        ({"validations": [{"expression": "params.a"}]}, "validations[0].expression", "undeclared reference"),
        ({"variables": [{"name": "in", "expression": "1"}]}, "variables[0].name", "not a valid CEL identifier"),
        ({"variables": [{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]},
         "variables[0].expression", "undefined field 'b'"),
        ({"validations": [{"expression": "true", "reason": "Odd"}]}, "validations[0].reason", "Unsupported value"),
        ({"validations": [{"expression": "true", "message": "a\nb"}]}, "validations[0].message", "line breaks"),
        ({"paramKind": {"apiVersion": "a/b/c", "kind": "K"}}, "paramKind.apiVersion", "unexpected GroupVersion"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_policy_is_named(fields, field, message):
    assert message in causes(kinds.ADMISSIONPOLICIES, policy(**fields))[f"spec.{field}"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"policyName": ""}, "policyName"),
        ({"validationActions": []}, "validationActions"),
        ({"validationActions": ["Nod"]}, "validationActions[0]"),
        ({"paramRef": {"name": "a"}}, "paramRef.parameterNotFoundAction"),
        ({"paramRef": {"parameterNotFoundAction": "Deny"}}, "paramRef"),
        ({"paramRef": {"name": "a", "selector": {}, "parameterNotFoundAction": "Deny"}}, "paramRef.selector"),
    ],
)
def test_what_is_wrong_with_a_binding_is_named(spec, field):
    obj = {"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"], **spec}}
    assert f"spec.{field}" in causes(kinds.ADMISSIONPOLICYBINDINGS, obj)
