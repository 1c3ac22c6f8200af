"""Helm's official SDK, which waits for what it installs: the life of a chart that brings every kind, CRD and hooks."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import kubernetes_validate
import pytest

from tests.conformance.live import everything_served

helm = pytest.importorskip("helm_python", reason="helm-python-sdk has wheels for x86-64 only")

CHART = Path(__file__).resolve().parent.parent / "charts" / "everything"
WAIT = {"wait": "watcher", "timeout": 100}
KINDS = {
    "ClusterRole", "ClusterRoleBinding", "ConfigMap", "ControllerRevision", "CronJob", "DaemonSet", "Deployment",
    "EndpointSlice", "Endpoints", "Event", "Greeting", "HorizontalPodAutoscaler", "Ingress", "IngressClass", "Job",
    "Lease", "LimitRange", "Namespace", "NetworkPolicy", "PersistentVolume", "PersistentVolumeClaim", "Pod",
    "PodDisruptionBudget", "PriorityClass", "ReplicaSet", "ReplicationController", "ResourceQuota", "Role",
    "RoleBinding", "Secret", "Service", "ServiceAccount", "StatefulSet", "StorageClass",
}  # fmt: skip


@pytest.fixture
def release(cluster, kubectl, namespace, image, tmp_path):
    """Helm in a namespace, the values of the chart, and what is left of it taken away."""
    with helm.Config(kubeconfig_path=cluster.kubeconfig, namespace=namespace) as config:
        yield config, {"image": image, "hostPath": str(tmp_path / "volume")}
    kubectl("delete", "crd", "greetings.chart.example.test", "--ignore-not-found", "--timeout=60s")


def get(kubectl, namespace: str, what: str, path: str) -> str:
    return kubectl("-n", namespace, "get", *what.split(), "-o", f"jsonpath={path}")


def served(kubectl, namespace: str, name: str) -> str:
    """What the release's Service answers to a pod of the cluster."""
    pod = f"{name}-pod"
    return kubectl("-n", namespace, "exec", pod, "--", "wget", "-qO-", f"http://{name}-clusterip/").strip()


def manifest_kinds(release: dict) -> set[str]:
    return {line.split()[1] for line in release["manifest"].splitlines() if line.startswith("kind: ")}


def test_a_chart_of_every_kind_lives_its_whole_life(kubectl, namespace, release):
    config, values = release
    installed = config.install(CHART, "all", values, **WAIT)
    assert installed["status"] == "deployed" and manifest_kinds(installed) == KINDS
    check_installed(kubectl, namespace)
    check_valid(kubectl)
    tested = config.test("all", timeout=30, logs=True)
    assert "hello" in tested["logs"]

    upgraded = config.upgrade(CHART, "all", {**values, "greeting": "good evening", "replicas": 3}, **WAIT)
    assert (upgraded["revision"], upgraded["status"]) == (2, "deployed")
    assert served(kubectl, namespace, "all") == "good evening"
    assert get(kubectl, namespace, "deployment all-deployment", "{.status.readyReplicas} {.status.replicas}") == "3 3"
    assert get(kubectl, namespace, "greeting all", "{.spec.text}") == "good evening"
    assert kubectl("-n", namespace, "logs", "job/all-pre-upgrade") == "pre-upgrade of revision 2\n"
    assert "not found" in kubectl.refused("-n", namespace, "get", "job", "all-job-1"), "not in the new manifest"

    config.rollback("all", version=1, **WAIT)
    assert served(kubectl, namespace, "all") == "hello"
    assert get(kubectl, namespace, "deployment all-deployment", "{.status.replicas}") == "2"
    assert [entry["status"] for entry in config.history("all")] == ["superseded", "superseded", "deployed"]

    config.uninstall("all", **WAIT)
    assert config.list(all_states=True) == []
    check_gone(kubectl, namespace)


def check_installed(kubectl, namespace: str) -> None:
    ready = {"deployment": "2", "replicaset": "2", "statefulset": "2"}
    for kind, count in ready.items():
        assert get(kubectl, namespace, f"{kind} all-{kind}", "{.status.readyReplicas}") == count
    assert get(kubectl, namespace, "daemonset all-daemonset", "{.status.numberReady}") == "1"
    assert get(kubectl, namespace, "job all-job-1", "{.status.succeeded} {.status.completedIndexes}") == "2 0,1"
    assert get(kubectl, namespace, "pvc all-claim", "{.status.phase} {.spec.volumeName}") == "Bound all-volume"
    assert get(kubectl, namespace, "pvc data-all-statefulset-1", "{.status.phase}") == "Bound"
    assert get(kubectl, namespace, "greeting all", "{.spec.text} {.spec.times}") == "hello 1"
    assert get(kubectl, namespace, "resourcequota all-quota", "{.status.used.services}") == "5"
    assert get(kubectl, namespace, "pdb all-budget", "{.status.disruptionsAllowed}") == "1"
    assert served(kubectl, namespace, "all") == "hello"
    for hook in ("pre-install", "post-install"):
        assert kubectl("-n", namespace, "logs", f"job/all-{hook}") == f"{hook} of revision 1\n"
    before = get(kubectl, namespace, "job all-pre-install", "{.status.completionTime}")
    assert before <= get(kubectl, namespace, "deployment all-deployment", "{.metadata.creationTimestamp}")
    robot = f"--as=system:serviceaccount:{namespace}:all"
    assert kubectl("auth", "can-i", "list", "configmaps", robot).strip() == "yes"
    events = json.loads(kubectl("-n", namespace, "get", "events", "-o", "json"))["items"]
    assert {"from core", "from events.k8s.io"} <= {event["message"] for event in events}


def check_valid(kubectl) -> None:
    """Every object of every kind is valid by Kubernetes' own schemas."""
    kinds, problems = Counter(), []
    for obj in everything_served(kubectl):
        if obj["kind"] in ("Greeting", "NodeMetrics", "PodMetrics"):  # not in those schemas
            continue
        kinds[obj["kind"]] += 1
        if kinds[obj["kind"]] > 6:  # a tenth of a second each
            continue
        try:
            kubernetes_validate.validate(obj, "1.32", strict=True)
        except kubernetes_validate.ValidationError as exc:
            problems.append(f"{obj['kind']} {obj['metadata']['name']}: {list(exc.path)} {exc.message}")
    assert problems == [] and KINDS - {"Greeting"} <= set(kinds)


def check_gone(kubectl, namespace: str) -> None:
    """What the chart made is gone; its definition stays, as Helm has it, and hooks that nothing deletes."""
    everything = "deploy,rs,sts,ds,rc,pods,cronjobs,svc,ingress,pdb,hpa,netpol,roles,rolebindings,leases,greetings"
    deleting = "jsonpath={.items[?(@.metadata.name=='all-post-delete')].status.succeeded}"
    assert kubectl("-n", namespace, "get", "jobs", "-o", deleting) == "1"
    left = kubectl("-n", namespace, "get", everything, "-o", "name").split()
    assert [name for name in left if not name.startswith(("pod/all-p", "pod/all-test"))] == []
    names = "clusterrole/all-clusterrole pv/all-volume sc/all-local priorityclass/all-important ns/all-extra"
    assert kubectl("get", *names.split(), "--ignore-not-found", "-o", "name") == ""
    assert "greetings.chart.example.test" in kubectl("get", "crd", "-o", "name")


def test_a_release_that_never_gets_ready_is_told_and_taken_back(kubectl, namespace, release):
    config, values = release
    config.install(CHART, "again", values, **WAIT)
    with pytest.raises(helm.HelmError, match="again-"):
        broken = {**values, "broken": True, "greeting": "never"}
        config.upgrade(CHART, "again", broken, wait="watcher", timeout=6, rollback_on_failure=True)
    assert [entry["status"] for entry in config.history("again")][-2:] == ["failed", "deployed"]
    assert served(kubectl, namespace, "again") == "hello"
    config.uninstall("again", **WAIT)
