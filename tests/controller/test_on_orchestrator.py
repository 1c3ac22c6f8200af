"""The controller against our own API server, scheduler and a simulated node: the whole life of an app."""

import os
import socket
import subprocess
import sys
import time

import pytest

from controller.cluster.client import KubernetesCluster, Unreachable
from tests.controller.memory_cluster import put_in_place


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} took more than {seconds} s"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def orchestrator(tmp_path_factory):
    """A server and an agent with the memory runtime; gives the controller's kubeconfig."""
    home = tmp_path_factory.mktemp("orchestrator")
    node = socket.gethostname().lower()
    common = {**os.environ, "NODE_NAME": node}
    server_environment = common | {
        "ORCHESTRATOR_DATA": str(home / "data"),
        "ORCHESTRATOR_LISTEN": f"127.0.0.1:{free_port()}",
    }
    agent_environment = common | {
        "KUBECONFIG": str(home / "data" / "agent.kubeconfig"),
        "AGENT_DATA": str(home / "agent"),
        "AGENT_LISTEN": f"127.0.0.1:{free_port()}",
        "AGENT_RUNTIME": "memory",
        "AGENT_INSTANCE": "controller-tests",
    }
    started = []
    log = (home / "log").open("wb")

    def start(program, environment):
        command = [sys.executable, "-m", "orchestrator", program]
        started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

    try:
        start("server", server_environment)
        kubeconfig = home / "data" / "controller.kubeconfig"
        wait_until(kubeconfig.exists, "the kubeconfig")
        start("agent", agent_environment)
        api = KubernetesCluster(str(kubeconfig))
        wait_until(lambda: node_is_ready(api), "the node")
        yield api
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            process.wait(timeout=60)


def node_is_ready(api):
    try:
        nodes, _ = api.list("Node", None)
    except Unreachable:
        return False
    conditions = [c for n in nodes for c in n.get("status", {}).get("conditions", ())]  # none before it first reports
    return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)


@pytest.fixture
def cluster(orchestrator, monkeypatch):
    """In place of the cluster in memory."""
    put_in_place(monkeypatch, orchestrator)
    yield orchestrator
    for name in ("blue", "green"):
        orchestrator.delete("Namespace", None, name)
    wait_until(lambda: orchestrator.get("Namespace", None, "blue") is None, "taking down")


def counts(user):
    pods = user.get("/v2/apps/blue/pods/").json()["results"]
    states = {pod["state"] for pod in pods}
    return {kind: sum(pod["type"] == kind for pod in pods) for kind in {pod["type"] for pod in pods}}, states


def test_the_life_of_an_app_on_the_real_thing(live, push, cluster):
    assert counts(live) == ({"web": 1}, {"up"})
    assert live.post("/v2/apps/blue/scale/", {"web": 3, "worker": 1}).status_code == 204
    assert counts(live) == ({"web": 3, "worker": 1}, {"up"})
    assert live.post("/v2/apps/blue/scale/", {"worker": 0}).status_code == 204
    assert live.post("/v2/apps/blue/config/", {"values": {"GREETING": "hi"}}).status_code == 201
    assert push(sha="ffffffff").json() == {"release": {"version": 4}}
    assert live.post("/v2/apps/blue/releases/rollback/", {"version": 2}).json() == {"version": 5}
    fresh = live.post("/v2/apps/blue/pods/restart/").json()
    assert sorted(pod["type"] for pod in fresh) == ["web", "web", "web"]
    one = fresh[0]["name"]
    assert len(live.post(f"/v2/apps/blue/pods/{fresh[0]['type']}/{one}/restart/").json()) == 1
    wait_until(lambda: counts(live) == ({"web": 3}, {"up"}), "settling", 10)
    assert b" blue[web.v5." in live.get("/v2/apps/blue/logs").content
    secrets = {s["metadata"]["name"] for s in cluster.list("Secret", "blue")[0]}
    assert {"blue-v5-env", "registry-pull"} <= secrets and "blue-v2-env" not in secrets
    assert live.delete("/v2/apps/blue/").status_code == 204
    assert cluster.get("Namespace", None, "blue") is None


def test_run_on_the_real_thing(blue, push, cluster):
    push(procfile={}, dockerfile="true", ports=[5000])
    answer = blue.post("/v2/apps/blue/run", {"command": "echo one; exit 3"})
    assert answer.json() == {"exit_code": 3, "output": "one\n"}
    left = [pod["metadata"]["name"] for pod in cluster.list("Pod", "blue", "type=run")[0]]
    assert left == []


def test_too_much_memory_fits_no_node_and_the_old_release_goes_on(live, cluster, settings):
    settings.DEPLOY_TIMEOUT = 3
    before = {pod["metadata"]["uid"] for pod in cluster.list("Pod", "blue")[0]}
    answer = live.post("/v2/apps/blue/config/", {"memory": {"web": "9999G"}})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("no node fits web: ")
    assert live.get("/v2/apps/blue/config/").json()["memory"] == {}
    assert before <= {pod["metadata"]["uid"] for pod in cluster.list("Pod", "blue")[0]}
    assert live.get("/v2/apps/blue/releases/v3").json()["failed"] is True


def test_watching_tells_each_change_and_ends_when_closed(cluster):
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "blue", "labels": {"heritage": "deis"}}}
    cluster.apply(namespace)
    items, version = cluster.list("Namespace", None, "heritage=deis")
    watch = cluster.watch("Namespace", None, version, "heritage=deis")
    cluster.apply({**namespace, "metadata": {**namespace["metadata"], "annotations": {"a": "b"}}})
    for event, item in watch:
        assert (event, item["metadata"]["annotations"]) == ("MODIFIED", {"a": "b"})
        watch.close()


def test_applying_the_same_again_changes_nothing(live, cluster):
    from controller.actions.carry_out import sync
    from controller.models import App

    def versions():
        kinds = ("Deployment", "Service", "Secret")
        return {
            (kind, item["metadata"]["name"]): item["metadata"].get("generation", item["metadata"]["resourceVersion"])
            for kind in kinds
            for item in cluster.list(kind, "blue", "heritage=deis")[0]
        }

    before = versions()
    sync(App.objects.get(name="blue"))
    assert versions() == before
