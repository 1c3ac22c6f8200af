"""Custom resources over the socket: what applying leaves to defaults, embedded objects, deprecated versions."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from orchestrator.apiserver.main import _run_for_ever
from tests.orchestrator.apiserver.caller import calling
from tests.orchestrator.apiserver.test_protobuf import body, definition

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "replicas": {"type": "integer", "default": 1},
                "colour": {"type": "string"},
                "object": {
                    "type": "object",
                    "x-kubernetes-embedded-resource": True,
                    "x-kubernetes-preserve-unknown-fields": True,
                },
            },
        }
    },
}
VERSION = {"served": True, "schema": {"openAPIV3Schema": SCHEMA}}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.test"},
    "spec": {
        "group": "example.test",
        "scope": "Namespaced",
        "names": {"plural": "things", "kind": "Thing"},
        "versions": [
            {**VERSION, "name": "v1", "storage": True},
            {**VERSION, "name": "v1beta1", "storage": False, "deprecated": True},
        ],
    },
}
THINGS = "/apis/example.test/v1/namespaces/default/things"


@pytest.fixture
async def call(tmp_path, pki):
    """A server that serves Things."""
    async with calling(tmp_path, pki) as caller:
        await caller("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=DEFINITION)
        async with asyncio.timeout(60):
            while (await caller("GET", THINGS))[0] != 200:  # noqa: ASYNC110 - it is a socket away
                await asyncio.sleep(0.01)
        yield caller


def thing(**spec):
    return {"apiVersion": "example.test/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": spec}


async def apply(call, manager: str, obj):
    headers = {"Content-Type": "application/apply-patch+yaml"}
    return await call("PATCH", f"{THINGS}/a?fieldManager={manager}", json=obj, headers=headers)


async def test_an_applied_configuration_says_nothing_of_what_it_leaves_to_defaults(call):
    assert (await apply(call, "one", thing(replicas=3)))[0] == 201
    status, applied = await apply(call, "two", thing(colour="red"))
    assert status == 200, applied
    assert applied["spec"] == {"replicas": 3, "colour": "red"}
    assert (await apply(call, "two", thing(replicas=4)))[0] == 409


@pytest.mark.parametrize(
    ("embedded", "causes"),
    [
        ({}, ["spec.object.apiVersion", "spec.object.kind"]),
        ({"apiVersion": "v1", "kind": ""}, ["spec.object.kind"]),
        ({"apiVersion": "v1", "kind": "Pod", "anything": 1}, None),
    ],
)
async def test_an_embedded_object_says_what_it_is(call, embedded, causes):
    status, answer = await call("POST", THINGS, json=thing(object=embedded))
    assert status == (201 if causes is None else 422)
    if causes:
        assert [cause["field"] for cause in answer["details"]["causes"]] == causes


async def test_users_of_a_deprecated_version_are_warned(call):
    path = call.base + THINGS.replace("/v1/", "/v1beta1/")
    session: aiohttp.ClientSession = call.session
    async with session.get(path, ssl=call.admin) as response:
        assert response.headers.getall("warning") == ['299 - "example.test/v1beta1 Thing is deprecated"']
    async with session.get(call.base + THINGS, ssl=call.admin) as response:
        assert "warning" not in response.headers


async def test_definitions_may_come_as_protobuf_and_their_objects_may_not(call):
    protobuf = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    status, answer = await call("POST", path, data=definition(), headers=protobuf)
    assert (status, answer.get("message")) == (201, None)
    gardens = "/apis/example.test/v1/namespaces/default/gardens"
    async with asyncio.timeout(60):
        while (await call("GET", gardens))[0] != 200:  # noqa: ASYNC110 - it is a socket away
            await asyncio.sleep(0.01)
    garden = {"apiVersion": "example.test/v1", "kind": "Garden", "metadata": {"name": "a"}, "spec": {"size": -1}}
    status, answer = await call("POST", gardens, json=garden)
    assert status == 422 and "spec.size" in answer["message"], "the schema is in force"
    status, answer = await call("POST", gardens, data=body("example.test/v1", "Garden", b""), headers=protobuf)
    assert (status, answer["reason"]) == (415, "UnsupportedMediaType")


async def test_a_condition_without_a_type_does_not_end_the_server(call):
    """Kubernetes takes such a status; whoever reads conditions has to live with it."""
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    headers = {"Content-Type": "application/merge-patch+json"}
    patch = {"status": {"conditions": [{"message": "patched", "reason": "Test"}]}}
    status, _ = await call("PATCH", f"{path}/things.example.test/status", json=patch, headers=headers)
    assert status == 200
    other = {**DEFINITION, "metadata": {"name": "others.example.test"}}
    other["spec"] = {**DEFINITION["spec"], "names": {"plural": "others", "kind": "Other"}}
    await call("POST", path, json=other)
    async with asyncio.timeout(60):
        for served in (THINGS, THINGS.replace("things", "others")):
            while (await call("GET", served))[0] != 200:  # noqa: ASYNC110 - it is a socket away
                await asyncio.sleep(0.01)


async def test_a_part_that_fails_begins_again_while_requests_are_answered(call, monkeypatch):
    monkeypatch.setattr("orchestrator.apiserver.main._RESTART", 0.01)
    begun = []

    async def run() -> None:
        begun.append(len(begun))
        if len(begun) < 3:
            raise KeyError("what nobody thought of")
        await asyncio.Event().wait()

    task = asyncio.create_task(_run_for_ever("a part", run))
    async with asyncio.timeout(60):
        while len(begun) < 3:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
    task.cancel()
    assert (await call("GET", THINGS))[0] == 200
