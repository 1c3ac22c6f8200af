"""What every ApiClient promises, tried on the in-process one and on the one over HTTPS."""

from __future__ import annotations

import asyncio
import copy
import shutil

import pytest

from orchestrator import errors
from orchestrator.apiserver.main import Server
from orchestrator.http_client import HttpClient
from orchestrator.objects import kinds
from orchestrator.pki import ensure_pki
from orchestrator.settings import ServerSettings


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """Made once: keys are what takes long to make."""
    return ensure_pki(ServerSettings(data=tmp_path_factory.mktemp("pki"), node_name="node-a"))


@pytest.fixture(params=["local", "https"])
async def client(request, tmp_path, pki):
    shutil.copytree(pki.folder, tmp_path / "pki")
    server = Server(ServerSettings(data=tmp_path, port=0, node_name="node-a"), controllers=False)
    await server.start()
    if request.param == "local":
        yield server.client
    else:
        async with HttpClient.from_kubeconfig(tmp_path / "admin.kubeconfig") as over_https:
            over_https._config.server = f"https://127.0.0.1:{server.http.port}"
            yield over_https
    await server.stop()


def config_map(name: str, **data: str) -> dict:
    return {"metadata": {"name": name, "namespace": "default", "labels": {"app": name}}, "data": data}


async def test_what_was_created_can_be_read(client):
    made = await client.create(kinds.CONFIGMAPS, config_map("a", x="1"))
    assert made["metadata"]["uid"] and made["metadata"]["creationTimestamp"]
    assert await client.get(kinds.CONFIGMAPS, "a", "default") == made


async def test_a_name_is_taken_once(client):
    await client.create(kinds.CONFIGMAPS, config_map("a"))
    with pytest.raises(errors.AlreadyExists) as refused:
        await client.create(kinds.CONFIGMAPS, config_map("a"))
    assert refused.value.message == 'configmaps "a" already exists'
    assert refused.value.name == "a"


async def test_what_is_not_there_is_not_found(client):
    for attempt in (
        client.get(kinds.CONFIGMAPS, "a", "default"),
        client.delete(kinds.CONFIGMAPS, "a", "default"),
        client.update(kinds.CONFIGMAPS, config_map("a")),
        client.patch(kinds.CONFIGMAPS, "a", "default", patch={"data": {}}),
    ):
        with pytest.raises(errors.NotFound):
            await attempt


async def test_a_stale_update_conflicts_and_changes_nothing(client):
    made = await client.create(kinds.CONFIGMAPS, config_map("a", x="1"))
    changed = copy.deepcopy(made)
    changed["data"]["x"] = "2"
    await client.update(kinds.CONFIGMAPS, changed)
    with pytest.raises(errors.Conflict):
        await client.update(kinds.CONFIGMAPS, copy.deepcopy(made))
    assert (await client.get(kinds.CONFIGMAPS, "a", "default"))["data"] == {"x": "2"}


async def test_an_update_that_changes_nothing_keeps_the_version(client):
    made = await client.create(kinds.CONFIGMAPS, config_map("a", x="1"))
    same = await client.update(kinds.CONFIGMAPS, copy.deepcopy(made))
    assert same["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_lists_honour_selectors_and_carry_a_version_to_watch_from(client):
    for name in ("a", "b"):
        await client.create(kinds.CONFIGMAPS, config_map(name))
    found = await client.list(kinds.CONFIGMAPS, "default", label_selector="app=b")
    assert [item["metadata"]["name"] for item in found.items] == ["b"]
    found = await client.list(
        kinds.CONFIGMAPS, label_selector="app", field_selector="metadata.name!=b,metadata.namespace=default"
    )
    assert [item["metadata"]["name"] for item in found.items] == ["a"]
    assert int(found.resource_version) >= int(found.items[0]["metadata"]["resourceVersion"])


async def test_a_watch_tells_every_change_after_its_version_in_order(client):
    start = (await client.list(kinds.CONFIGMAPS)).resource_version
    await client.create(kinds.CONFIGMAPS, config_map("a", x="1"))
    await client.patch(kinds.CONFIGMAPS, "a", "default", patch={"data": {"x": "2"}})
    await client.delete(kinds.CONFIGMAPS, "a", "default")
    seen = []
    async with asyncio.timeout(60):
        async for event in client.watch(kinds.CONFIGMAPS, "default", resource_version=start):
            if event.type != "BOOKMARK":
                seen.append((event.type, event.object.get("data")))
            if event.type == "DELETED":
                break
    assert seen == [("ADDED", {"x": "1"}), ("MODIFIED", {"x": "2"}), ("DELETED", {"x": "2"})]


async def test_a_watch_with_a_selector_sees_objects_enter_and_leave(client):
    start = (await client.list(kinds.CONFIGMAPS)).resource_version
    await client.create(kinds.CONFIGMAPS, config_map("a"))
    await client.patch(kinds.CONFIGMAPS, "a", "default", patch={"metadata": {"labels": {"on": "yes"}}})
    await client.patch(kinds.CONFIGMAPS, "a", "default", patch={"metadata": {"labels": {"on": None}}})
    seen = []
    async with asyncio.timeout(60):
        async for event in client.watch(kinds.CONFIGMAPS, resource_version=start, label_selector="on=yes"):
            seen.append(event.type)
            if event.type == "DELETED":
                break
    assert seen == ["ADDED", "DELETED"]


async def test_another_uid_is_not_deleted(client):
    await client.create(kinds.CONFIGMAPS, config_map("a"))
    with pytest.raises(errors.Conflict):
        await client.delete(kinds.CONFIGMAPS, "a", "default", uid="another")
    assert await client.get(kinds.CONFIGMAPS, "a", "default")


async def test_status_moves_only_through_its_subresource(client):
    node = {"metadata": {"name": "n1"}, "spec": {}}
    made = copy.deepcopy(await client.create(kinds.NODES, node))
    made["status"] = {"phase": "Running"}
    made["spec"] = {"podCIDR": "10.0.0.0/24"}
    updated = copy.deepcopy(await client.update(kinds.NODES, made))
    assert "phase" not in updated.get("status", {}) and updated["spec"]["podCIDR"] == "10.0.0.0/24"
    updated["status"] = {"phase": "Running"}
    updated["spec"] = {}
    updated = await client.update(kinds.NODES, updated, subresource="status")
    assert updated["status"]["phase"] == "Running" and updated["spec"]["podCIDR"] == "10.0.0.0/24"
