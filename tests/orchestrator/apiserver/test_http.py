"""The server over its socket: how it answers what is wrong, streams what is asked, and goes."""

from __future__ import annotations

import asyncio
import json
import socket

import aiohttp
import pytest

from orchestrator.apiserver import streams
from orchestrator.apiserver.main import Server
from orchestrator.settings import ServerSettings
from tests.orchestrator.apiserver.caller import Caller, serving


@pytest.fixture
async def server(tmp_path, pki):
    async with serving(tmp_path, pki) as server:
        yield server


@pytest.fixture
async def call(server, tmp_path):
    caller = Caller(server, tmp_path)
    yield caller
    await caller.session.close()


MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.mark.parametrize(
    ("method", "path", "options", "code", "reason"),
    [
        ("GET", "/api/v1/nonsense", {}, 404, "NotFound"),
        ("GET", "/nonsense", {}, 404, "NotFound"),
        ("GET", f"{MAPS}/ghost", {}, 404, "NotFound"),
        ("GET", f"{MAPS}/ghost/status", {}, 404, "NotFound"),
        ("POST", MAPS, {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "BadRequest"),
        ("POST", MAPS, {"data": b"[1]", "headers": {"Content-Type": "application/json"}}, 400, "BadRequest"),
        ("POST", MAPS, {"data": b"k8s\0\xff\xff", "headers": {"Content-Type": "application/vnd.kubernetes.protobuf"}},
         400, "BadRequest"),
        ("POST", MAPS, {"data": b"x", "headers": {"Content-Type": "application/cbor"}}, 415, "UnsupportedMediaType"),
        ("POST", MAPS, {"json": {"metadata": {"name": "Bad_Name"}}}, 422, "Invalid"),
        ("POST", MAPS, {"json": {"metadata": {"name": "a", "namespace": "other"}}}, 400, "BadRequest"),
        ("POST", MAPS, {"json": {"metadata": {"name": "a"}, "data": {"k": 1}}}, 400, "BadRequest"),
        ("POST", f"{MAPS}?dryRun=Some", {"json": {}}, 422, "Invalid"),
        ("POST", f"{MAPS}?fieldValidation=Strict", {"json": {"metadata": {"name": "a"}, "dta": {}}}, 400, "BadRequest"),
        ("POST", MAPS, {"data": b" " * (3 * 1024 * 1024 + 1)}, 413, "RequestEntityTooLarge"),
        ("PATCH", f"{MAPS}/kube-root-ca.crt", {"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 415,
         "UnsupportedMediaType"),
        ("DELETE", f"{MAPS}/kube-root-ca.crt?gracePeriodSeconds=soon", {}, 400, "BadRequest"),
        ("GET", f"{MAPS}?limit=many", {}, 400, "BadRequest"),
        ("GET", f"{MAPS}?continue=rubbish", {}, 400, "BadRequest"),
        ("GET", f"{MAPS}?labelSelector=a%20b", {}, 400, "BadRequest"),
        ("GET", f"{MAPS}?resourceVersion=x", {}, 400, "BadRequest"),
        ("GET", f"{MAPS}?resourceVersion=999999", {}, 504, "Timeout"),
        ("GET", MAPS, {"headers": {"Accept": "text/html"}}, 406, "NotAcceptable"),
        ("PUT", MAPS, {"json": {}}, 405, "MethodNotAllowed"),
        ("POST", "/version", {}, 405, "MethodNotAllowed"),
        ("GET", MAPS, {"headers": {"Authorization": "Bearer rubbish"}}, 401, "Unauthorized"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_in_a_status(call, method, path, options, code, reason):
    status, body = await call(method, path, **options)
    assert (status, body["kind"], body["code"], body["reason"]) == (code, "Status", code, reason)
    assert body["message"]


async def test_a_head_without_end_is_cut_off(call, server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.http.port, ssl=call.anonymous)
    writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\n")
    writer.writelines(b"X-%d: %b\r\n" % (number, b"y" * 1000) for number in range(100))
    answer = await asyncio.wait_for(reader.read(), 60)
    assert answer.startswith(b"HTTP/1.1 400")
    writer.close()


async def test_what_is_nested_too_deeply_is_a_bad_request(call):
    deep = '{"metadata": {"name": "a"}, "data": ' + '{"a":' * 1000 + "1" + "}" * 1000 + "}"
    status, body = await call("POST", MAPS, data=deep, headers={"Content-Type": "application/json"})
    assert (status, body["reason"]) == (400, "BadRequest")


async def test_a_refusal_names_every_bad_field(call):
    bad = {"metadata": {"name": "Bad_Name", "labels": {"-": "x"}}, "data": {"a/b": "x"}}
    _, body = await call("POST", MAPS, json=bad)
    assert {cause["field"].split("[")[0] for cause in body["details"]["causes"]} == {
        "metadata.name", "metadata.labels", "data",
    }  # fmt: skip


async def test_strangers_see_that_the_server_lives_and_nothing_else(call):
    for path, code in (("/healthz", 200), ("/version", 200), ("/api/v1/namespaces", 403), ("/metrics", 403)):
        status, _ = await call("GET", path, tls=call.anonymous)
        assert status == code, path


async def test_warnings_tell_of_unknown_fields(call):
    body = {"metadata": {"name": "a"}, "dta": {}}
    async with call.session.post(call.base + MAPS, json=body, ssl=call.admin) as response:
        assert response.status == 201 and response.headers["Warning"] == '299 - "unknown field \\"dta\\""'


async def test_pages_show_one_revision_and_expire_with_it(call, server):
    for name in "abcd":
        await call("POST", MAPS, json={"metadata": {"name": name}})
    _, first = await call("GET", f"{MAPS}?limit=2")
    await call("DELETE", f"{MAPS}/c")
    token = first["metadata"]["continue"]
    _, second = await call("GET", f"{MAPS}?limit=2&continue={token}")
    assert [item["metadata"]["name"] for item in first["items"] + second["items"]] == ["a", "b", "c", "d"]
    assert first["metadata"]["remainingItemCount"] == 3
    await call("POST", MAPS, json={"metadata": {"name": "e"}})
    await server.store.compact(server.store.revision)
    status, expired = await call("GET", f"{MAPS}?limit=2&continue={token}")
    assert (status, expired["reason"]) == (410, "Expired")
    _, rest = await call("GET", f"{MAPS}?continue={expired['metadata']['continue']}")
    assert [item["metadata"]["name"] for item in rest["items"]] == ["d", "e", "kube-root-ca.crt"]


async def lines(call, path: str, count: int) -> list[dict]:
    async with call.session.get(call.base + path, ssl=call.admin) as response:
        assert response.status == 200
        return [json.loads(await response.content.readline()) for _ in range(count)]


async def test_a_watch_begins_with_what_is_there_and_says_when_that_was_all(call):
    await call("POST", MAPS, json={"metadata": {"name": "a"}})
    options = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    seen = await lines(call, f"{MAPS}?{options}", 3)
    assert [(e["type"], e["object"]["metadata"].get("name")) for e in seen[:2]] == [
        ("ADDED", "a"), ("ADDED", "kube-root-ca.crt"),
    ]  # fmt: skip
    assert seen[2]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_initial_events_need_the_match_they_stand_for(call):
    options = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&timeoutSeconds=1"
    status, answer = await call("GET", f"{MAPS}?{options}")
    assert status == 422 and "requires setting resourceVersionMatch to NotOlderThan" in answer["message"]


async def test_kinds_without_metadata_make_no_tables(call):
    path, body = (
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {"spec": {"resourceAttributes": {"verb": "get"}}},
    )
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    assert (await call("POST", path, json=body, headers={"Accept": table}))[0] == 406
    assert (await call("POST", path, json=body, headers={"Accept": f"{table}, application/json"}))[0] == 201


async def test_a_watch_from_a_forgotten_version_is_told_so(call, server):
    await call("POST", MAPS, json={"metadata": {"name": "a"}})
    await server.store.compact(server.store.revision)
    [event] = await lines(call, f"{MAPS}?watch=1&resourceVersion=1", 1)
    assert (event["type"], event["object"]["reason"], event["object"]["code"]) == ("ERROR", "Expired", 410)


async def test_a_watch_of_tables_names_its_columns_once(call):
    await call("POST", MAPS, json={"metadata": {"name": "a"}})
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    async with call.session.get(f"{call.base}{MAPS}?watch=1", ssl=call.admin, headers=headers) as response:
        first, second = [json.loads(await response.content.readline()) for _ in range(2)]
    assert first["object"]["columnDefinitions"] and not second["object"]["columnDefinitions"]


async def test_a_watcher_that_reads_nothing_delays_nobody_and_is_cut_off(call, server, monkeypatch):
    monkeypatch.setattr(streams, "_PATIENCE", 0.3)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.setblocking(False)
    await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", server.http.port))
    reader, writer = await asyncio.open_connection(sock=deaf, ssl=call.admin, server_hostname="127.0.0.1", limit=1024)
    writer.write(f"GET {MAPS}?watch=1&resourceVersion=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    count = 12
    async with call.session.get(f"{call.base}{MAPS}?watch=1", ssl=call.admin, read_bufsize=2**22) as response:
        await response.content.readline()
        for number in range(count):
            status, _ = await call(
                "POST", MAPS, json={"metadata": {"name": f"m{number}"}, "data": {"k": "v" * 900_000}}
            )
            assert status == 201
            event = json.loads(await response.content.readline())
            assert event["object"]["metadata"]["name"] == f"m{number}"
        async with asyncio.timeout(60):
            while server.store.watch_counts()["configmaps"] > 1:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0.02)
    writer.transport.abort()


async def test_stopping_ends_watches_cleanly_and_loses_no_write(call, server, tmp_path):
    async with call.session.get(f"{call.base}{MAPS}?watch=1&resourceVersion=1", ssl=call.admin) as response:
        writes = [asyncio.create_task(call("POST", MAPS, json={"metadata": {"name": f"m{n}"}})) for n in range(20)]
        await writes[0]
        await server.stop()
        await response.content.read()
    acknowledged = set()
    for write in writes:
        try:
            status, body = await write
        except aiohttp.ClientError:
            continue
        if status == 201:
            acknowledged.add(body["metadata"]["name"])
    again = Server(ServerSettings(data=tmp_path, port=0, node_name="node-a"), controllers=False)
    await again.start()
    stored = {record.key.name for record in again.store.list("configmaps", "default")}
    await again.stop()
    assert acknowledged and acknowledged <= stored
