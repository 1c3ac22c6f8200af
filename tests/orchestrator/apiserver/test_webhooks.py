"""Webhooks asked about writes: which, in which order, with what, and what becomes of the object and of the writer."""

from __future__ import annotations

import asyncio
import base64
import socket

import pytest

from orchestrator import errors
from orchestrator.apiserver import create, delete, subresources
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.local import LocalClient
from orchestrator.apiserver.read import ListOptions
from orchestrator.apiserver.webhooks.hooks import Hooks
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key
from tests.orchestrator.webhook_program import Program, allow, configuration, deny, webhook

KINDS = {"Mutating": kinds.MUTATINGWEBHOOKS, "Validating": kinds.VALIDATINGWEBHOOKS}


@pytest.fixture(scope="module")
def listening(tmp_path_factory):
    program = Program(tmp_path_factory.mktemp("webhook"), ("judge.default.svc",))
    yield program
    program.close()


@pytest.fixture
async def program(listening, api):
    """The program, before it is registered anywhere."""
    listening.asked.clear()
    listening.answer = lambda path, review: allow()
    api.hooks = Hooks(api)
    yield listening
    await api.webhooks.close()


@pytest.fixture
def register(client, program):
    async def registered(kind: str, *hooks: dict, name: str = "c") -> None:
        await client.create(KINDS[kind], configuration(kind, name, *hooks))

    return registered


def config_map(name: str = "m", labels: dict | None = None, **data) -> dict:
    meta = {"name": name, "namespace": "default", **({"labels": labels} if labels else {})}
    return {"metadata": meta, "data": data}


def paths(program) -> list[str]:
    return [path for path, _ in program.asked]


def add(field: str, value: str) -> dict:
    return {"op": "add", "path": f"/data/{field}", "value": value}


async def test_a_denial_says_which_webhook_and_why(client, program, register):
    program.answer = lambda path, review: deny("no maps today", code=403, reason="Forbidden")
    await register("Validating", webhook("no.maps.test", program.client("/v")))
    with pytest.raises(errors.ApiError) as refused:
        await client.create(kinds.CONFIGMAPS, config_map())
    status = refused.value.status()
    assert status["message"] == 'admission webhook "no.maps.test" denied the request: no maps today'
    assert (status["code"], status["reason"]) == (403, "Forbidden")
    with pytest.raises(errors.NotFound):
        await client.get(kinds.CONFIGMAPS, "m", "default")


async def test_the_review_is_kubernetes_own(api, program, register):
    await register("Validating", webhook("v.maps.test", program.client("/v"), operations=("*",)))
    as_jane = LocalClient(api, field_manager="jane")
    await as_jane.create(kinds.CONFIGMAPS, config_map(a="1"))
    await as_jane.patch(kinds.CONFIGMAPS, "m", "default", patch={"data": {"a": "2"}})
    await as_jane.delete(kinds.CONFIGMAPS, "m", "default", grace_period=0)
    made, update, gone = (review for _, review in program.asked)
    kind, resource = (
        {"group": "", "version": "v1", "kind": "ConfigMap"},
        {"group": "", "version": "v1", "resource": "configmaps"},
    )
    obj = made.pop("object")
    assert made.pop("uid")
    assert made == {
        "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource, "name": "m",
        "namespace": "default", "operation": "CREATE", "oldObject": None, "dryRun": False,
        "userInfo": {"username": "system:apiserver", "groups": ["system:masters", "system:authenticated"]},
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "jane"},
    }  # fmt: skip
    assert (obj["apiVersion"], obj["kind"], obj["data"]) == ("v1", "ConfigMap", {"a": "1"})
    assert obj["metadata"]["uid"] and obj["metadata"]["managedFields"]
    assert (update["object"]["data"], update["oldObject"]["data"]) == ({"a": "2"}, {"a": "1"})
    assert (gone["object"], gone["oldObject"]["data"]) == (None, {"a": "2"})
    assert gone["options"] == {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "gracePeriodSeconds": 0}


async def test_what_a_webhook_changes_is_defaulted_and_judged_like_anything_else(client, pod, program, register):
    container = {"op": "add", "path": "/spec/containers/-", "value": {"name": "side", "image": "registry.test/side"}}
    program.answer = lambda path, review: allow(container)
    await register("Mutating", webhook("m.pods.test", program.client("/m"), resources=("pods",)))
    made = await client.create(kinds.PODS, pod("p"))
    side = made["spec"]["containers"][1]
    assert side["imagePullPolicy"] == "Always"
    assert [m["name"] for m in side["volumeMounts"]] == [
        m["name"] for m in made["spec"]["containers"][0]["volumeMounts"]
    ]
    assert program.asked[0][1]["object"]["spec"]["serviceAccountName"] == "default"
    container["value"] = {"name": "Not A Name", "image": "i"}
    with pytest.raises(errors.Invalid, match="spec.containers\\[1\\].name"):
        await client.create(kinds.PODS, pod("q"))
    container["value"] = {"name": 7}
    with pytest.raises(errors.ApiError, match="Internal error occurred"):
        await client.create(kinds.PODS, pod("r"))


async def test_webhooks_are_asked_in_order_and_judges_see_the_outcome(client, program, register):
    def answer(path, review):
        return allow(add(path[1:], "x")) if path != "/judge" else allow()

    program.answer = answer
    await register("Validating", webhook("v.maps.test", program.client("/judge")))
    await register("Mutating", webhook("b.maps.test", program.client("/b")), name="two")
    await register("Mutating", webhook("a.maps.test", program.client("/a")), name="one")
    made = await client.create(kinds.CONFIGMAPS, config_map(own="1"))
    assert made["data"] == {"own": "1", "a": "x", "b": "x"}
    assert paths(program) == ["/a", "/b", "/judge"]
    assert program.asked[1][1]["object"]["data"] == {"own": "1", "a": "x"}
    assert program.asked[2][1]["object"]["data"] == made["data"]


async def test_who_wants_to_is_asked_again_after_later_changes(client, program, register):
    program.answer = lambda path, review: allow(add(path[1:], "x"))
    again = webhook("a.maps.test", program.client("/a"), reinvocationPolicy="IfNeeded")
    await register("Mutating", again, webhook("b.maps.test", program.client("/b")))
    await client.create(kinds.CONFIGMAPS, config_map(own="1"))
    assert paths(program) == ["/a", "/b", "/a"]
    program.asked.clear()
    program.answer = lambda path, review: allow()
    await client.create(kinds.CONFIGMAPS, config_map("n"))
    assert paths(program) == ["/a", "/b"]


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, True),
        ({"resources": ("secrets",)}, False),
        ({"resources": ("*",)}, True),
        ({"resources": ("*/*",)}, True),
        ({"resources": ("configmaps/status",)}, False),
        ({"groups": ("apps",)}, False),
        ({"operations": ("UPDATE",)}, False),
        ({"operations": ("*",)}, True),
        ({"objectSelector": {"matchLabels": {"tier": "web"}}}, True),
        ({"objectSelector": {"matchLabels": {"tier": "db"}}}, False),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}, True),
        ({"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn",
                                                      "values": ["default"]}]}}, False),
        ({"matchConditions": [{"name": "c", "expression": "object.metadata.name == 'm'"}]}, True),
        ({"matchConditions": [{"name": "c", "expression": "request.userInfo.username != 'system:apiserver'"}]}, False),
        ({"matchConditions": [{"name": "c", "expression": "object.data.absent == 'x'"},
                              {"name": "d", "expression": "oldObject != null"}]}, False),
    ],
    ids=str,
)  # fmt: skip
async def test_rules_selectors_and_conditions_choose_who_is_asked(client, program, register, fields, asked):
    await register("Validating", webhook("v.maps.test", program.client("/v"), **fields))
    await client.create(kinds.CONFIGMAPS, config_map(labels={"tier": "web"}))
    assert bool(program.asked) is asked


async def test_a_condition_that_breaks_refuses_or_spares(client, program, register):
    broken = [{"name": "c", "expression": "object.data.absent == 'x'"}]
    closed = webhook("closed.maps.test", program.client("/v"), matchConditions=broken)
    await register("Validating", {**closed, "name": "open.maps.test", "failurePolicy": "Ignore"}, name="open")
    await client.create(kinds.CONFIGMAPS, config_map())
    await register("Validating", closed, name="closed")
    with pytest.raises(errors.Forbidden, match="no such key: absent"):
        await client.create(kinds.CONFIGMAPS, config_map("n"))
    assert not program.asked


async def test_a_rule_for_one_version_means_the_others_too_unless_it_says_exact(client, program, register):
    v1 = webhook("v1.hpa.test", program.client("/equivalent"), resources=("horizontalpodautoscalers",))
    v1["rules"][0] |= {"apiGroups": ["autoscaling"], "apiVersions": ["v1"]}
    await register("Validating", v1, {**v1, "name": "x.hpa.test", "clientConfig": program.client("/exact"),
                                      "matchPolicy": "Exact"})  # fmt: skip
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 7}}}
    scaler = {"metadata": {"name": "s", "namespace": "default"},
              "spec": {"scaleTargetRef": target, "maxReplicas": 3, "metrics": [cpu]}}  # fmt: skip
    await client.create(kinds.HPAS_V2, scaler)
    (asked,) = program.asked
    assert asked[0] == "/equivalent"
    assert (asked[1]["resource"]["version"], asked[1]["requestResource"]["version"]) == ("v1", "v2")
    assert asked[1]["object"]["apiVersion"] == "autoscaling/v1"
    assert asked[1]["object"]["spec"]["targetCPUUtilizationPercentage"] == 7


async def test_what_cannot_be_asked_refuses_or_is_passed_over(client, program, register):
    nowhere = {"url": "https://127.0.0.1:1/x", "caBundle": program.ca}
    await register("Mutating", webhook("open.maps.test", nowhere, failurePolicy="Ignore"))
    await client.create(kinds.CONFIGMAPS, config_map())
    await register("Validating", webhook("closed.maps.test", nowhere), name="closed")
    with pytest.raises(errors.ApiError) as failed:
        await client.create(kinds.CONFIGMAPS, config_map("n"))
    message = failed.value.status()["message"]
    assert message.startswith(
        'Internal error occurred: failed calling webhook "closed.maps.test": failed to call webhook:'
    )
    assert 'Post "https://127.0.0.1:1/x?timeout=5s"' in message and "connection refused" in message
    assert failed.value.status()["code"] == 500


async def test_a_webhook_of_another_authority_is_not_believed(client, program, register, pki):
    client_config = {**program.client("/v"), "caBundle": base64.b64encode(pki.ca.read_bytes()).decode()}
    await register("Validating", webhook("v.maps.test", client_config))
    with pytest.raises(errors.ApiError, match="x509: certificate signed by unknown authority"):
        await client.create(kinds.CONFIGMAPS, config_map())


async def test_a_webhook_that_takes_too_long_counts_as_one_that_failed(client, program, register):
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def answer(path, review):
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        return allow()

    program.answer = answer
    await register("Validating", webhook("slow.maps.test", program.client("/v"), timeoutSeconds=1))
    with pytest.raises(errors.ApiError, match="context deadline exceeded"):
        await client.create(kinds.CONFIGMAPS, config_map())
    release.set()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"uid": "other", "allowed": True}, 'expected response.uid="'),
        (allow(add("a", "b")), "validating webhook may not return response.patch"),
    ],
)
async def test_an_answer_that_is_none_counts_as_a_failure(client, program, register, answer, why):
    program.answer = lambda path, review: answer
    await register("Validating", webhook("v.maps.test", program.client("/v")))
    with pytest.raises(errors.ApiError, match="received invalid webhook response") as failed:
        await client.create(kinds.CONFIGMAPS, config_map())
    assert why in failed.value.message


async def test_a_patch_is_made_again_when_the_object_changed_meanwhile(api, client, program, register):
    """As Kubernetes' GuaranteedUpdate does: webhooks are shown what will be stored, and nothing is lost."""
    await client.create(kinds.CONFIGMAPS, config_map(a="1"))
    other = LocalClient(api)
    loop = asyncio.get_running_loop()

    def answer(path, review):
        if len(program.asked) == 1:
            quicker = other.patch(kinds.CONFIGMAPS, "m", "default", patch={"metadata": {"labels": {"by": "other"}}})
            asyncio.run_coroutine_threadsafe(quicker, loop).result()
        return allow()

    program.answer = answer
    spared = [{"name": "mine", "expression": "object.data != oldObject.data"}]
    await register(
        "Validating", webhook("v.maps.test", program.client("/v"), operations=("UPDATE",), matchConditions=spared)
    )
    written = await client.patch(kinds.CONFIGMAPS, "m", "default", patch={"data": {"a": "2"}})
    assert (written["data"], written["metadata"]["labels"]) == ({"a": "2"}, {"by": "other"})
    assert [review["oldObject"]["metadata"].get("labels") for _, review in program.asked] == [None, {"by": "other"}]


async def test_an_update_of_a_version_that_went_by_is_a_conflict(client, program, register):
    made = await client.create(kinds.CONFIGMAPS, config_map(a="1"))
    loop = asyncio.get_running_loop()

    def answer(path, review):
        if len(program.asked) == 1:
            quicker = client.patch(kinds.CONFIGMAPS, "m", "default", patch={"data": {"a": "3"}})
            asyncio.run_coroutine_threadsafe(quicker, loop).result()
        return allow()

    program.answer = answer
    only = [{"name": "mine", "expression": "object.data.a == '2'"}]
    await register(
        "Validating", webhook("v.maps.test", program.client("/v"), operations=("UPDATE",), matchConditions=only)
    )
    with pytest.raises(errors.Conflict, match="the object has been modified"):
        await client.update(kinds.CONFIGMAPS, {**made, "data": {"a": "2"}})


async def test_two_creations_at_once_make_one_object(client, program, register):
    await register("Validating", webhook("v.maps.test", program.client("/v")))
    made = await asyncio.gather(
        *(client.create(kinds.CONFIGMAPS, config_map(a=str(n))) for n in range(4)), return_exceptions=True
    )
    assert sum(isinstance(outcome, dict) for outcome in made) == 1
    assert sum(isinstance(outcome, errors.AlreadyExists) for outcome in made) == 3


async def test_a_dry_run_asks_only_those_without_side_effects(api, client, program, register):
    await register("Validating", webhook("v.maps.test", program.client("/v"), sideEffects="NoneOnDryRun"))
    old = webhook("old.maps.test", program.client("/old"), sideEffects="Some", resources=("secrets",))
    with pytest.raises(errors.Invalid, match="sideEffects"):
        await register("Validating", old, name="old")

    call = Call("create", kinds.CONFIGMAPS, "default", dry_run=True)
    await create.create(api, call, config_map())
    assert program.asked[0][1]["dryRun"] is True and program.asked[0][1]["options"]["dryRun"] == ["All"]
    assert api.store.latest("configmaps", Key("default", "m")) is None


async def test_a_deletion_can_be_denied_one_by_one(api, client, program, register):

    for name in ("a", "b"):
        await client.create(kinds.CONFIGMAPS, config_map(name, labels={"mine": "yes"}))
    program.answer = lambda path, review: deny("stays") if review["oldObject"]["metadata"]["name"] == "b" else allow()
    await register("Validating", webhook("v.maps.test", program.client("/v"), operations=("DELETE",)))
    call = Call("deletecollection", kinds.CONFIGMAPS, "default")
    with pytest.raises(errors.ApiError, match="stays"):
        await delete.delete_collection(api, call, ListOptions("mine=yes"), delete.DeleteOptions())
    assert [(r["operation"], r.get("name")) for _, r in program.asked] == [("DELETE", None)] * 2
    assert api.store.latest("configmaps", Key("default", "a")) is None
    assert api.store.latest("configmaps", Key("default", "b")) is not None


async def test_a_webhook_behind_a_service_is_found_by_its_endpoints(client, program, register, unused_address):
    await register("Validating", webhook("v.maps.test", program.service("judge", "default", "/s")))
    with pytest.raises(errors.ApiError, match='service "judge" not found'):
        await client.create(kinds.CONFIGMAPS, config_map())
    ports = [{"name": "hooks", "port": 443, "targetPort": 8443}]
    await client.create(
        kinds.SERVICES, {"metadata": {"name": "judge", "namespace": "default"}, "spec": {"ports": ports}}
    )
    with pytest.raises(errors.ApiError, match='no endpoints available for service "judge"'):
        await client.create(kinds.CONFIGMAPS, config_map())
    meta = {"name": "judge-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "judge"}}
    slice_ = {"metadata": meta, "addressType": "IPv4", "endpoints": [{"addresses": [unused_address]}],
              "ports": [{"name": "hooks", "port": program.port}]}  # fmt: skip
    await client.create(kinds.ENDPOINTSLICES, slice_)
    await client.create(kinds.CONFIGMAPS, config_map())
    assert paths(program) == ["/s"]


@pytest.fixture
def unused_address():
    """An address of this host that endpoints may have: any but a loopback one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this host has no address but its own loopback")
        return probe.getsockname()[0]


async def test_scaling_and_binding_are_reviewed_as_what_they_are(api, client, pod, program, register):
    await register("Validating", webhook("v.sub.test", program.client("/v"), operations=("*",), groups=("*",),
                                         resources=("*/scale", "pods/binding")))  # fmt: skip
    labels = {"app": "d"}
    template = {"metadata": {"labels": labels}, "spec": pod("x")["spec"]}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    await client.create(kinds.REPLICASETS, {"metadata": {"name": "r", "namespace": "default"}, "spec": spec})
    call = Call("update", kinds.REPLICASETS, "default", "r", "scale")
    await subresources.update_scale(api, call, {"metadata": {"name": "r"}, "spec": {"replicas": 4}})
    review = program.asked[0][1]
    assert review["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert (review["subResource"], review["object"]["spec"]["replicas"]) == ("scale", 4)
    assert review["oldObject"]["kind"] == "Scale" and review["oldObject"]["spec"]["replicas"] == 1
    await client.create(kinds.PODS, pod("p"))
    body = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    await client.create_subresource(kinds.PODS, "p", "default", "binding", body)
    assert program.asked[1][1]["kind"]["kind"] == "Binding" and len(program.asked) == 2


@pytest.mark.parametrize(
    ("resource", "content"),
    [
        (kinds.SERVICES, {"spec": {"type": "NodePort", "ports": [{"port": 80}]}}),
        (kinds.SECRETS, {"type": "kubernetes.io/service-account-token",
                         "metadata": {"annotations": {"kubernetes.io/service-account.name": "default"}}}),
        (kinds.PODS, {"spec": {"containers": [{"name": "c", "image": "registry.test/app:1"}]}}),
        (kinds.JOBS, {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "c", "image": "registry.test/app:1"}]}}}}),
        (kinds.PERSISTENTVOLUMECLAIMS, {"spec": {"accessModes": ["ReadWriteOnce"],
                                                 "resources": {"requests": {"storage": "1Gi"}}}}),
        (kinds.LEASES, {"spec": {}}),
    ],
    ids=lambda value: value.kind if hasattr(value, "kind") else "",
)  # fmt: skip
async def test_what_the_server_gives_an_object_is_given_once(client, program, register, resource, content):
    """Deciding it again after the webhooks were asked comes to the same, so nobody is asked twice."""
    everything = webhook("v.all.test", program.client("/v"), operations=("*",), groups=("*",), resources=("*",))
    await register("Validating", everything)
    await register("Mutating", everything, name="m")
    meta = {"name": "o", "namespace": "default", **content.get("metadata", {})}
    made = await client.create(resource, {**content, "metadata": meta})
    assert len(program.asked) == 2
    assert program.asked[1][1]["object"]["metadata"]["uid"] == made["metadata"]["uid"]
    await client.patch(resource, "o", "default", patch={"metadata": {"labels": {"a": "b"}}})
    assert len(program.asked) == 4


async def test_configurations_are_never_subject_to_webhooks(client, program, register):
    program.answer = lambda path, review: deny("never")
    everything = webhook("v.all.test", program.client("/v"), operations=("*",), groups=("*",), resources=("*/*",))
    await register("Validating", everything)
    await register("Mutating", everything, name="second")
    await client.delete(kinds.VALIDATINGWEBHOOKS, "c")
    await client.delete(kinds.MUTATINGWEBHOOKS, "second")
    await client.create(kinds.CONFIGMAPS, config_map())
    assert not program.asked


async def test_the_namespace_that_is_made_counts_as_its_own(client, program, register):
    selector = {"matchLabels": {"guarded": "yes"}}
    await register(
        "Validating", webhook("v.ns.test", program.client("/v"), resources=("namespaces",), namespaceSelector=selector)
    )
    await client.create(kinds.NAMESPACES, {"metadata": {"name": "plain"}})
    await client.create(kinds.NAMESPACES, {"metadata": {"name": "guarded", "labels": {"guarded": "yes"}}})
    assert [(r["name"], r["namespace"]) for _, r in program.asked] == [("guarded", "guarded")]
