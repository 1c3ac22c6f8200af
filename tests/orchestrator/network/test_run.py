import asyncio
import types

from orchestrator.client import ObjectList
from orchestrator.network import run
from orchestrator.network.addresses import first_node_cidr
from orchestrator.network.host_ports import HostPorts

CONFIG = """
current-context: x
contexts: [{name: x, context: {cluster: x, user: x}}]
clusters: [{name: x, cluster: {server: "SERVER"}}]
users: [{name: x, user: {token: t}}]
"""


def test_a_loopback_server_needs_a_way_for_pods_and_another_does_not(tmp_path):
    path = tmp_path / "kubeconfig"
    for server, expected in [
        ("https://127.0.0.1:6443", ("127.0.0.1", 6443)),
        ("https://localhost:7443", ("127.0.0.1", 7443)),
        ("https://192.0.2.1:6443", None),
        ("https://api.example.test", None),
    ]:
        path.write_text(CONFIG.replace("SERVER", server))
        assert run.loopback_api(path) == expected


async def test_what_fails_is_run_again(monkeypatch):
    monkeypatch.setattr(run, "RETRY", 0)
    failures = [OSError("port taken"), run.FirewallError("no nft"), ValueError("a mistake")]

    async def serve():
        if failures:
            raise failures.pop(0)
        raise KeyboardInterrupt

    try:
        await run.keep("test", serve)
    except KeyboardInterrupt:
        assert failures == []


class Api:
    """An API that holds what it is given, and never changes."""

    def __init__(self, *objects):
        self.objects = objects

    async def list(self, resource, namespace="", *, label_selector="", field_selector=""):
        found = [obj for kind, obj in self.objects if kind == resource.kind]
        return ObjectList(found, "1")

    async def watch(self, resource, namespace="", *, resource_version, label_selector="", field_selector=""):
        await asyncio.Event().wait()
        yield


def meta(name, **more):
    return {"namespace": "shop", "name": name, "resourceVersion": "1", **more}


async def test_services_and_policies_of_the_api_reach_the_firewall(tmp_path, monkeypatch):
    applied = asyncio.Queue()

    class Firewall:
        def __init__(self, *_, **__):
            self.checked = 0

        async def apply(self, rules):
            applied.put_nowait(rules)

        async def check(self):
            self.checked += 1

    path = tmp_path / "kubeconfig"
    path.write_text(CONFIG.replace("SERVER", "https://127.0.0.1:6443"))
    settings = types.SimpleNamespace(
        kubeconfig=path, instance="t", node_name="one", pod_cidr="10.201.0.0/16", service_cidr="10.202.0.0/16",
        cluster_domain="cluster.local",
    )  # fmt: skip
    monkeypatch.setattr(run, "Firewall", Firewall)
    monkeypatch.setattr(run, "prepare_bridge", lambda *_: None)
    monkeypatch.setattr(run, "see_bridged_packets", lambda: True)
    api = Api(
        ("Namespace", {"metadata": {"name": "shop", "resourceVersion": "1"}}),
        ("Service", {"metadata": meta("web"), "spec": {"clusterIP": "10.202.0.5", "ports": [{"port": 80}]}}),
        ("Pod", {"metadata": meta("web-1"), "spec": {}, "status": {"podIP": "10.201.0.2", "phase": "Running"}}),
        ("NetworkPolicy", {"metadata": meta("deny"), "spec": {"podSelector": {}}}),
    )
    task = asyncio.create_task(run.run_network(api, settings, first_node_cidr(settings.pod_cidr), HostPorts()))
    try:
        async with asyncio.timeout(60):
            rules = await applied.get()
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert rules.refused == {"10.202.0.5 . tcp . 80"}
    assert list(rules.isolated_in) == ["10.201.0.2"]
