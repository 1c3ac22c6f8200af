"""ValidatingAdmissionPolicies: what they see, what bindings make of it, and what the writer is told."""

from __future__ import annotations

import pytest

from orchestrator import errors
from orchestrator.apiserver import create, delete
from orchestrator.apiserver.call import Call, User
from orchestrator.apiserver.local import LocalClient
from orchestrator.apiserver.webhooks.hooks import Hooks
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key


@pytest.fixture
def server(api):
    api.hooks = Hooks(api)
    return api


@pytest.fixture
def bound(server, client):
    """Registers a policy over ConfigMaps, and a binding of the same name."""

    async def bind(*validations: dict, name: str = "p", binding: dict | None = None, **spec) -> None:
        rule = {
            "operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
            **spec.pop("rule", {}),
        }  # fmt: skip
        constraints = {"resourceRules": [rule], **spec.pop("constraints", {})}
        policy = {"matchConstraints": constraints, "validations": list(validations), **spec}
        await client.create(kinds.ADMISSIONPOLICIES, {"metadata": {"name": name}, "spec": policy})
        bound = {"policyName": name, "validationActions": ["Deny"], **(binding or {})}
        await client.create(kinds.ADMISSIONPOLICYBINDINGS, {"metadata": {"name": name}, "spec": bound})

    return bind


def config_map(name: str = "m", **data: str) -> dict:
    return {"metadata": {"name": name, "namespace": "default", "labels": {"tier": "web"}}, "data": data}


async def refused(client, obj: dict) -> dict:
    with pytest.raises(errors.ApiError) as raised:
        await client.create(kinds.CONFIGMAPS, obj)
    return raised.value.status()


async def test_a_denial_names_policy_binding_and_expression(client, bound):
    await bound({"expression": "object.data.size() < 2"})
    await client.create(kinds.CONFIGMAPS, config_map(a="1"))
    status = await refused(client, config_map("n", a="1", b="2"))
    said = "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: failed expression: object.data.size() < 2"
    assert status["message"] == f'configmaps "n" is forbidden: {said}'
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["details"]["causes"] == [{"message": said}]


@pytest.mark.parametrize(
    ("validation", "message", "code"),
    [
        ({"message": "too much"}, "too much", 422),
        ({"message": "too much", "reason": "Forbidden"}, "too much", 403),
        ({"message": "m", "messageExpression": "'there are ' + string(variables.count)"}, "there are 1", 422),
        ({"message": "kept", "messageExpression": "object.data.absent"}, "kept", 422),
    ],
)
async def test_the_message_and_reason_are_the_policys_own(client, bound, validation, message, code):
    variables = [{"name": "count", "expression": "object.data.size()"}]
    await bound({"expression": "variables.count > 5", **validation}, variables=variables)
    status = await refused(client, config_map(a="1"))
    assert status["message"].endswith(f"denied request: {message}") and status["code"] == code


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ("request.operation == 'CREATE' && oldObject == null", True),
        ("request.userInfo.username == 'system:apiserver' && request.namespace == 'default'", True),
        ("namespaceObject.metadata.name == 'default'", True),
        ("object.metadata.labels.tier == 'web' && has(object.metadata.uid)", True),
        ("request.resource.resource == 'pods'", False),
        ("variables.twice == 2", True),
        ("authorizer.group('').resource('pods').namespace('default').check('create').allowed()", True),
        ("authorizer.serviceAccount('default', 'x').group('').resource('pods').check('create').allowed()", False),
        ("authorizer.requestResource.check('create').allowed()", True),
        ("authorizer.path('/healthz').check('get').allowed()", True),
    ],
)
async def test_what_expressions_see(client, bound, expression, passes):
    variables = [
        {"name": "one", "expression": "object.data.size()"}, {"name": "twice", "expression": "variables.one * 2"},
    ]  # fmt: skip
    await bound({"expression": expression}, variables=variables)
    if passes:
        await client.create(kinds.CONFIGMAPS, config_map(a="1"))
    else:
        assert "failed expression" in (await refused(client, config_map(a="1")))["message"]


async def test_updates_and_deletions_are_judged_by_what_was(server, client, bound):
    keep = "oldObject == null || object == null || object.data.a == oldObject.data.a"
    await bound({"expression": keep}, {"expression": "request.operation != 'DELETE'", "message": "it stays"})
    await client.create(kinds.CONFIGMAPS, config_map(a="1"))
    await client.patch(kinds.CONFIGMAPS, "m", "default", patch={"data": {"b": "2"}})
    with pytest.raises(errors.ApiError, match="failed expression"):
        await client.patch(kinds.CONFIGMAPS, "m", "default", patch={"data": {"a": "2"}})
    with pytest.raises(errors.ApiError, match="it stays"):
        await delete.delete(server, Call("delete", kinds.CONFIGMAPS, "default", "m"), delete.DeleteOptions())
    assert server.store.latest("configmaps", Key("default", "m")) is not None


async def test_an_expression_that_breaks_refuses_unless_failures_are_ignored(client, bound):
    await bound({"expression": "object.data.absent == 'x'"}, name="open", failurePolicy="Ignore")
    await client.create(kinds.CONFIGMAPS, config_map(a="1"))
    await bound({"expression": "object.data.absent == 'x'"}, name="closed")
    status = await refused(client, config_map("n", a="1"))
    assert "expression 'object.data.absent == 'x'' resulted in error: no such key: absent" in status["message"]


async def test_a_binding_may_only_warn_or_audit(server, bound):
    await bound({"expression": "false", "message": "not good"}, binding={"validationActions": ["Warn", "Audit"]})
    call = Call("create", kinds.CONFIGMAPS, "default")
    await create.create(server, call, config_map(a="1"))
    assert call.warnings == ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p': not good"]


@pytest.mark.parametrize(
    "spec",
    [
        {"matchConditions": [{"name": "others", "expression": "object.metadata.name != 'm'"}]},
        {"rule": {"resourceNames": ["other"]}},
        {"constraints": {"objectSelector": {"matchLabels": {"tier": "db"}}}},
        {"constraints": {"excludeResourceRules": [
            {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["*"]}]}},
        {"binding": {"matchResources": {"namespaceSelector": {"matchLabels": {"no": "namespace"}}}}},
        {"binding": {"policyName": "another"}},
    ],
    ids=str,
)  # fmt: skip
async def test_policies_spare_what_they_do_not_mean(client, bound, spec):
    await bound({"expression": "false"}, **spec)
    await client.create(kinds.CONFIGMAPS, config_map(a="1"))


async def test_parameters_come_from_an_object_that_the_binding_names(client, bound):
    await client.create(kinds.NAMESPACES, {"metadata": {"name": "limits"}})
    limit = {"metadata": {"name": "limit", "namespace": "limits"}, "data": {"most": "1"}}
    reference = {"name": "limit", "namespace": "limits", "parameterNotFoundAction": "Deny"}
    await bound(
        {"expression": "object.data.size() <= int(params.data.most)"},
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        matchConditions=[{"name": "not-limits", "expression": "request.namespace != 'limits'"}],
        binding={"paramRef": reference},
    )
    status = await refused(client, config_map(a="1"))
    assert "failed to configure binding: no params found for policy binding with `Deny`" in status["message"]
    with pytest.raises(errors.ApiError, match="no params found"):
        await client.create(kinds.CONFIGMAPS, limit)
    await client.patch(
        kinds.ADMISSIONPOLICYBINDINGS, "p", patch={"spec": {"paramRef": {"parameterNotFoundAction": "Allow"}}}
    )
    await client.create(kinds.CONFIGMAPS, limit)
    await client.create(kinds.CONFIGMAPS, config_map(a="1"))
    assert "failed expression" in (await refused(client, config_map("n", a="1", b="2")))["message"]
    await client.patch(kinds.CONFIGMAPS, "limit", "limits", patch={"data": {"most": "2"}})
    await client.create(kinds.CONFIGMAPS, config_map("n", a="1", b="2"))


async def test_a_selector_may_find_several_parameters_and_all_judge(client, bound):
    for name, word in (("x", "red"), ("y", "blue")):
        meta = {"name": name, "namespace": "default", "labels": {"is": "parameter"}}
        await client.create(kinds.CONFIGMAPS, {"metadata": meta, "data": {"word": word}})
    reference = {"selector": {"matchLabels": {"is": "parameter"}}, "parameterNotFoundAction": "Deny"}
    await bound(
        {"expression": "object.data.a != params.data.word", "messageExpression": "'never ' + params.data.word"},
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        binding={"paramRef": reference},
    )
    await client.create(kinds.CONFIGMAPS, config_map(a="green"))
    assert (await refused(client, config_map("n", a="blue")))["message"].endswith("never blue")


async def test_policies_are_validated_and_observed(server, client, bound):
    with pytest.raises(errors.Invalid) as wrong:
        await bound({"expression": "object.data ="}, {"expression": "variables.nope"}, name="bad")
    paths = {cause["field"] for cause in wrong.value.causes}
    assert paths == {"spec.validations[0].expression", "spec.validations[1].expression"}
    await bound({"expression": "true"}, name="good")
    made = await client.get(kinds.ADMISSIONPOLICIES, "good")
    assert made["spec"]["failurePolicy"] == "Fail"
    assert made["status"] == {"observedGeneration": 1, "typeChecking": {}}
    changed = await client.patch(
        kinds.ADMISSIONPOLICIES, "good", patch={"spec": {"validations": [{"expression": "1 < 2"}]}}
    )
    assert changed["status"]["observedGeneration"] == changed["metadata"]["generation"] == 2
    with pytest.raises(errors.Invalid, match="must not contain both Deny and Warn"):
        await bound({"expression": "true"}, name="both", binding={"validationActions": ["Deny", "Warn"]})


async def test_nobody_is_locked_out_of_mending_a_policy(server, client, bound):
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
    await bound({"expression": "request.userInfo.username == 'jane'"}, rule=everything)
    await LocalClient(server, User("jane")).create(kinds.CONFIGMAPS, config_map(a="1"))
    assert "denied request" in (await refused(client, config_map("n", a="1")))["message"]
    await client.delete(kinds.ADMISSIONPOLICIES, "p")
    await client.create(kinds.CONFIGMAPS, config_map("n", a="1"))
