"""Custom resources of several versions, converted by a webhook: read, watched and written in each."""

from __future__ import annotations

import asyncio

import pytest

from tests.orchestrator.apiserver.caller import calling
from tests.orchestrator.webhook_program import Program, allow, configuration, webhook

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
V1, V2 = "/apis/example.test/v1/namespaces/default/hosts", "/apis/example.test/v2/namespaces/default/hosts"


def version(name: str, storage: bool, **properties: str) -> dict:
    spec = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    schema = {"type": "object", "properties": {"spec": spec}}
    return {"name": name, "served": True, "storage": storage, "schema": {"openAPIV3Schema": schema}}


def definition(client: dict) -> dict:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "hosts.example.test"},
        "spec": {
            "group": "example.test",
            "scope": "Namespaced",
            "names": {"plural": "hosts", "kind": "Host"},
            "versions": [version("v1", True, hostPort="string"), version("v2", False, host="string", port="string")],
            "conversion": {
                "strategy": "Webhook",
                "webhook": {"clientConfig": client, "conversionReviewVersions": ["v1"]},
            },
        },
    }


def convert(path: str, request: dict) -> dict:
    """v1 says `hostPort: h:p` where v2 says `host` and `port`."""
    converted = []
    for obj in request["objects"]:
        spec = dict(obj.get("spec") or {})
        if request["desiredAPIVersion"].endswith("v2"):
            spec["host"], _, spec["port"] = spec.pop("hostPort", ":").partition(":")
        else:
            spec = {"hostPort": f"{spec.get('host', '')}:{spec.get('port', '')}"}
        converted.append({**obj, "apiVersion": request["desiredAPIVersion"], "spec": spec})
    return {"result": {"status": "Success"}, "convertedObjects": converted}


def host(api_version: str, name: str, **spec: str) -> dict:
    return {"apiVersion": f"example.test/{api_version}", "kind": "Host", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    program = Program(tmp_path_factory.mktemp("conversion"))
    yield program
    program.close()


@pytest.fixture
async def call(tmp_path, pki, program):
    """A server that serves Hosts in two versions, stored as v1."""
    program.asked.clear()
    program.answer = convert
    async with calling(tmp_path, pki) as caller:
        assert (await caller("POST", DEFINITIONS, json=definition(program.client("/convert"))))[0] == 201
        await until(lambda: caller.server.api.kinds.by_path("example.test", "v2", "hosts") is not None)
        yield caller


async def until(true) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - a definition settles in the background
            await asyncio.sleep(0.01)


async def test_every_verb_speaks_the_version_it_is_asked_in(call):
    status, made = await call("POST", V2, json=host("v2", "a", host="one", port="80"))
    assert (status, made["apiVersion"], made["spec"]) == (201, "example.test/v2", {"host": "one", "port": "80"})
    _, stored = await call("GET", f"{V1}/a")
    assert (stored["apiVersion"], stored["spec"]) == ("example.test/v1", {"hostPort": "one:80"})
    assert stored["metadata"]["uid"] == made["metadata"]["uid"]
    merge = {"Content-Type": "application/merge-patch+json"}
    status, patched = await call("PATCH", f"{V2}/a", json={"spec": {"port": "81"}}, headers=merge)
    assert (status, patched["spec"]) == (200, {"host": "one", "port": "81"})
    patched["spec"]["host"] = "two"
    status, updated = await call("PUT", f"{V2}/a", json=patched)
    assert (status, updated["spec"]) == (200, {"host": "two", "port": "81"})
    await call("POST", V1, json=host("v1", "b", hostPort="three:82"))
    _, listed = await call("GET", V2)
    assert listed["apiVersion"] == "example.test/v2"
    assert [item["spec"] for item in listed["items"]] == [
        {"host": "two", "port": "81"}, {"host": "three", "port": "82"},
    ]  # fmt: skip
    apply = {"Content-Type": "application/apply-patch+yaml"}
    status, applied = await call(
        "PATCH", f"{V2}/c?fieldManager=m", json=host("v2", "c", host="h", port="1"), headers=apply
    )
    assert (status, applied["spec"]) == (201, {"host": "h", "port": "1"})
    status, gone = await call("DELETE", f"{V2}/a")
    assert status == 200 and gone["status"] == "Success"


async def test_a_list_asks_once_for_all_its_objects(call, program):
    for name in "abc":
        await call("POST", V1, json=host("v1", name, hostPort="h:1"))
    program.asked.clear()
    await call("GET", V2)
    assert [len(request["objects"]) for _, request in program.asked] == [3]
    await call("GET", V1)
    assert len(program.asked) == 1


async def test_a_watch_shows_its_own_version(call):
    await call("POST", V1, json=host("v1", "a", hostPort="h:1"))
    url = f"{call.base}{V2}?watch=1&timeoutSeconds=5"
    async with call.session.get(url, ssl=call.admin) as response:
        first = await response.content.readline()
        await call("POST", V1, json=host("v1", "b", hostPort="h:2"))
        second = await response.content.readline()
    assert b'"apiVersion":"example.test/v2"' in first and b'"port":"1"' in first
    assert b'"apiVersion":"example.test/v2"' in second and b'"port":"2"' in second


async def test_objects_of_an_older_storage_version_are_converted_and_move_when_written(call):
    await call("POST", V1, json=host("v1", "old", hostPort="h:1"))
    versions = [version("v1", False, hostPort="string"), version("v2", True, host="string", port="string")]
    merge = {"Content-Type": "application/merge-patch+json"}
    await call("PATCH", f"{DEFINITIONS}/hosts.example.test", json={"spec": {"versions": versions}}, headers=merge)
    api = call.server.api
    await until(lambda: api.stored_versions["hosts.example.test"].version == "v2")
    await call("POST", V2, json=host("v2", "new", host="n", port="2"))
    for path, specs in (
        (V1, [{"hostPort": "n:2"}, {"hostPort": "h:1"}]),
        (V2, [{"host": "n", "port": "2"}, {"host": "h", "port": "1"}]),
    ):
        assert [item["spec"] for item in (await call("GET", path))[1]["items"]] == specs
    _, old = await call("GET", f"{V2}/old")
    status, _ = await call("PUT", f"{V2}/old", json=old)
    assert status == 200
    stored = [record.obj["apiVersion"] for record in api.store.list("hosts.example.test")]
    assert stored == ["example.test/v2", "example.test/v2"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"result": {"status": "Failure", "message": "not today"}}, "failed: not today"),
        ({"result": {"status": "Success"}, "convertedObjects": []}, "returned 0 objects, expected 1"),
        ({"uid": "other"}, 'failed: expected response.uid="'),
    ],
)
async def test_what_is_not_converted_is_an_error_in_kubernetes_words(call, program, answer, why):
    await call("POST", V1, json=host("v1", "a", hostPort="h:1"))
    program.answer = lambda path, request: answer
    status, refused = await call("GET", f"{V2}/a")
    assert status == 500
    assert (
        refused["message"].startswith("conversion webhook for example.test/v1, Kind=Host ")
        and why in refused["message"]
    )
    assert (await call("GET", f"{V1}/a"))[0] == 200


async def test_a_webhook_cannot_make_another_object_of_it(call, program):
    await call("POST", V1, json=host("v1", "a", hostPort="h:1"))

    def renamed(path, request):
        answer = convert(path, request)
        answer["convertedObjects"][0]["metadata"]["name"] = "z"
        return answer

    program.answer = renamed
    status, refused = await call("GET", f"{V2}/a")
    assert status == 500 and "must have the same name: a != z" in refused["message"]


async def test_admission_sees_the_version_its_rules_name(call, program):
    def answer(path, request):
        return (
            convert(path, request) if path == "/convert" else allow({"op": "add", "path": "/spec/port", "value": "99"})
        )

    program.answer = answer
    hook = webhook("m.hosts.test", program.client("/m"), resources=("hosts",), groups=("example.test",))
    hook["rules"][0]["apiVersions"] = ["v2"]
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    assert (await call("POST", path, json=configuration("Mutating", "c", hook)))[0] == 201
    status, made = await call("POST", V1, json=host("v1", "a", hostPort="h:1"))
    assert (status, made["spec"]) == (201, {"hostPort": "h:99"})
    review = next(request for path, request in program.asked if path == "/m")
    assert review["object"]["spec"] == {"host": "h", "port": "1"}
    assert (review["requestKind"]["version"], review["kind"]["version"]) == ("v1", "v2")


async def test_a_definition_must_say_how_its_webhook_is_reached(call, program):
    broken = definition({**program.client("/convert"), "url": "http://x/"})
    broken["metadata"]["name"], broken["spec"]["names"] = "hogs.example.test", {"plural": "hogs", "kind": "Hog"}
    status, refused = await call("POST", DEFINITIONS, json=broken)
    assert status == 422 and "'https' is the only allowed URL scheme" in refused["message"]
