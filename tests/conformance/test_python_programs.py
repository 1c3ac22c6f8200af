"""Programs over the official Python client: leaders are elected, watches outlive the server, kinds are found."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from kubernetes import client, config, dynamic, utils, watch
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError

CANDIDATE = Path(__file__).with_name("candidate.py")


@pytest.fixture
def api_client(cluster):
    return config.new_client_from_config(str(cluster.kubeconfig))


@pytest.fixture
def candidate(cluster, namespace):
    running = []

    def start(identity: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(CANDIDATE), str(cluster.kubeconfig), namespace, identity]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def test_one_of_two_processes_leads_and_the_other_takes_over_when_it_dies(api_client, namespace, candidate):
    first = candidate("first")
    assert first.stdout.readline() == "first leads\n"
    second, seen = candidate("second"), threading.Event()
    threading.Thread(target=lambda: second.stdout.readline() and seen.set(), daemon=True).start()
    assert not seen.wait(4), "a second leader beside the first, which renews its lease of 3 s"
    leases = client.CoordinationV1Api(api_client)
    assert leases.read_namespaced_lease("leader", namespace).spec.holder_identity == "first"
    first.kill()
    assert seen.wait(60)
    held = leases.read_namespaced_lease("leader", namespace).spec
    assert held.holder_identity == "second"


def test_a_watch_follows_every_change_across_restarts_of_the_server(cluster, api_client, namespace):
    """What informers do: list, watch from there, resume after a break, list again after a 410."""
    core, seen, stop = client.CoreV1Api(api_client), {}, threading.Event()

    def follow() -> None:
        version = None
        while not stop.is_set():
            try:
                if version is None:
                    listed = core.list_namespaced_secret(namespace, field_selector="type=Opaque")
                    version = listed.metadata.resource_version
                    seen.clear()
                    seen.update({one.metadata.name: one.data for one in listed.items})
                for event in watch.Watch().stream(
                    core.list_namespaced_secret, namespace, resource_version=version, timeout_seconds=2,
                    field_selector="type=Opaque", allow_watch_bookmarks=True,
                ):  # fmt: skip
                    version = event["raw_object"]["metadata"]["resourceVersion"]
                    name = event["raw_object"]["metadata"].get("name")
                    if event["type"] == "DELETED":
                        seen.pop(name)
                    elif event["type"] != "BOOKMARK":
                        seen[name] = event["raw_object"].get("data")
            except client.ApiException as error:
                version = None if error.status == 410 else version
            except Exception:
                time.sleep(0.05)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    for turn in range(3):
        for number in range(5):
            core.create_namespaced_secret(namespace, {"metadata": {"name": f"s-{turn}-{number}"}})
        core.delete_namespaced_secret(f"s-{turn}-0", namespace)
        core.patch_namespaced_secret(f"s-{turn}-1", namespace, {"stringData": {"turn": str(turn)}})
        cluster.kill("server")
        cluster.start_server()
    expected = {f"s-{turn}-{number}" for turn, number in itertools.product(range(3), range(1, 5))}
    end = time.monotonic() + 60
    while set(seen) != expected and time.monotonic() < end:
        time.sleep(0.05)
    stop.set()
    assert set(seen) == expected and seen["s-2-1"] == {"turn": "Mg=="}
    follower.join(60)


def test_the_dynamic_client_writes_in_every_way(api_client, namespace):
    maps = dynamic.DynamicClient(api_client).resources.get(api_version="v1", kind="ConfigMap")
    made = maps.create(body={"metadata": {"name": "d"}, "data": {"a": "1"}}, namespace=namespace)
    maps.patch(
        name="d", namespace=namespace, body=[{"op": "add", "path": "/data/b", "value": "2"}],
        content_type="application/json-patch+json",
    )  # fmt: skip
    applied = maps.server_side_apply(
        name="d", namespace=namespace, field_manager="tester", force_conflicts=True,
        body={"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}, "data": {"c": "3"}},
    )  # fmt: skip
    assert applied.data.to_dict() == {"a": "1", "b": "2", "c": "3"}
    with pytest.raises(ConflictError):
        maps.replace(name="d", namespace=namespace, body={**made.to_dict(), "data": {"a": "stale"}})
    events = maps.watch(namespace=namespace, name="d", timeout=1, resource_version=made.metadata.resourceVersion)
    assert [event["type"] for event in events] == ["MODIFIED", "MODIFIED"]
    maps.delete(name="d", namespace=namespace)
    with pytest.raises(NotFoundError):
        maps.get(name="d", namespace=namespace)


def test_files_of_several_documents_are_created(api_client, namespace, tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n---\n"
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n"
    )
    utils.create_from_yaml(api_client, str(path), namespace=namespace)
    core = client.CoreV1Api(api_client)
    assert core.read_namespaced_service("web", namespace).spec.cluster_ip.count(".") == 3
    assert core.read_namespaced_config_map("a", namespace).metadata.uid
    with pytest.raises(utils.FailToCreateError, match="AlreadyExists"):
        utils.create_from_yaml(api_client, str(path), namespace=namespace)
