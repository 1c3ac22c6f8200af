"""The official Python client: typed objects, watches that outlive the server, and what it lists is valid."""

from __future__ import annotations

import json
import threading

import kubernetes_validate
import pytest
from kubernetes import client, config, dynamic, watch


@pytest.fixture
def api_client(cluster):
    yield config.new_client_from_config(str(cluster.kubeconfig))


def test_typed_objects_make_the_round_trip(api_client):
    core = client.CoreV1Api(api_client)
    made = core.create_namespaced_config_map(
        "default", client.V1ConfigMap(metadata=client.V1ObjectMeta(generate_name="py-"), data={"a": "1"})
    )
    core.patch_namespaced_config_map(made.metadata.name, "default", {"data": {"b": "2"}})
    assert core.read_namespaced_config_map(made.metadata.name, "default").data == {"a": "1", "b": "2"}
    core.delete_namespaced_config_map(made.metadata.name, "default")
    with pytest.raises(client.ApiException) as gone:
        core.read_namespaced_config_map(made.metadata.name, "default")
    assert gone.value.status == 404


def test_the_dynamic_client_finds_kinds_by_discovery(api_client):
    resources = dynamic.DynamicClient(api_client).resources
    deployments = resources.get(api_version="apps/v1", kind="Deployment")
    assert deployments.get(namespace="kube-system").items == []


def test_lists_come_in_pages_of_one_revision(api_client):
    core = client.CoreV1Api(api_client)
    for number in range(7):
        core.create_namespaced_secret("default", client.V1Secret(metadata=client.V1ObjectMeta(name=f"page-{number}")))
    names, token, versions = [], None, set()
    while True:
        page = core.list_namespaced_secret("default", limit=3, _continue=token)
        names += [item.metadata.name for item in page.items]
        versions.add(page.metadata.resource_version)
        token = page.metadata._continue
        if not token:
            break
        core.create_namespaced_secret(
            "default", client.V1Secret(metadata=client.V1ObjectMeta(generate_name="page-late-"))
        )
    assert names == [f"page-{number}" for number in range(7)] and len(versions) == 1
    core.delete_collection_namespaced_secret("default")


def test_a_watch_goes_on_after_the_server_was_killed(cluster, api_client):
    core, seen, done = client.CoreV1Api(api_client), [], threading.Event()
    version = core.list_namespaced_config_map("kube-public").metadata.resource_version

    def follow() -> None:
        position = version
        while len(seen) < 2:
            try:
                stream = watch.Watch().stream(
                    core.list_namespaced_config_map, "kube-public", resource_version=position, timeout_seconds=20
                )
                for event in stream:
                    position = event["object"].metadata.resource_version
                    seen.append(event["object"].metadata.name)
                    if len(seen) == 2:
                        break
            except Exception:
                continue
        done.set()

    threading.Thread(target=follow, daemon=True).start()
    for name in ("before", "after"):
        core.create_namespaced_config_map("kube-public", {"metadata": {"name": name}})
        if name == "before":
            cluster.kill("server")
            cluster.start_server()
    assert done.wait(60) and seen == ["before", "after"]
    for name in seen:
        core.delete_namespaced_config_map(name, "kube-public")


def test_every_object_served_is_valid_by_kubernetes_own_schemas(api_client):
    lists = {
        "v1": (client.CoreV1Api, ["namespace", "service_for_all_namespaces", "service_account_for_all_namespaces",
                                  "node", "config_map_for_all_namespaces", "endpoints_for_all_namespaces"]),
        "rbac.authorization.k8s.io/v1": (client.RbacAuthorizationV1Api, ["cluster_role", "cluster_role_binding"]),
        "scheduling.k8s.io/v1": (client.SchedulingV1Api, ["priority_class"]),
    }  # fmt: skip
    checked = 0
    for version, (api, names) in lists.items():
        for name in names:
            response = getattr(api(api_client), f"list_{name}")(_preload_content=False)
            for item in json.loads(response.data)["items"]:
                assert item["apiVersion"] == version
                kubernetes_validate.validate(item, "1.32", strict=True)
                checked += 1
    assert checked > 30
