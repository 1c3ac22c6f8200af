"""kubectl over workloads on a node whose containers only pretend to run."""

from __future__ import annotations

import json
import textwrap

APP = textwrap.dedent(
    """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      replicas: 3
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec:
          terminationGracePeriodSeconds: 0
          containers: [{name: c, image: "registry.test/app:1"}]
    """
)
BUDGET = json.dumps(
    {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "web"}}},
    }
)


def images(kubectl, namespace: str) -> set[str]:
    return set(kubectl("-n", namespace, "get", "pods", "-o", "jsonpath={.items[*].spec.containers[*].image}").split())


def test_a_rollout_goes_forward_and_back(kubectl, namespace):
    kubectl("-n", namespace, "apply", "-f", "-", stdin=APP)
    assert "successfully rolled out" in kubectl("-n", namespace, "rollout", "status", "deploy/web", "--timeout=60s")
    kubectl("-n", namespace, "set", "image", "deploy/web", "c=registry.test/app:2")
    kubectl("-n", namespace, "rollout", "status", "deploy/web", "--timeout=60s")
    assert len(kubectl("-n", namespace, "rollout", "history", "deploy/web").strip().splitlines()) == 4
    kubectl("-n", namespace, "rollout", "undo", "deploy/web", "--to-revision=1")
    kubectl("-n", namespace, "rollout", "status", "deploy/web", "--timeout=60s")
    kubectl("-n", namespace, "wait", "--for=jsonpath={.status.replicas}=3", "deploy/web", "--timeout=60s")
    found = kubectl("-n", namespace, "get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
    assert found == "registry.test/app:1"


def test_scale_restart_and_delete_cascade(kubectl, namespace):
    kubectl("-n", namespace, "apply", "-f", "-", stdin=APP)
    kubectl("-n", namespace, "scale", "deploy/web", "--replicas=1")
    kubectl("-n", namespace, "rollout", "restart", "deploy/web")
    kubectl("-n", namespace, "rollout", "status", "deploy/web", "--timeout=60s")
    kubectl("-n", namespace, "delete", "deploy", "web", "--cascade=foreground", "--timeout=60s")
    assert kubectl("-n", namespace, "get", "rs,pods", "-o", "name") == ""


def test_drain_honours_a_disruption_budget(kubectl, namespace):
    kubectl("-n", namespace, "apply", "-f", "-", stdin=APP)
    kubectl("-n", namespace, "rollout", "status", "deploy/web", "--timeout=60s")
    kubectl("-n", namespace, "apply", "-f", "-", stdin=BUDGET)
    kubectl("-n", namespace, "wait", "--for=jsonpath={.status.currentHealthy}=3", "pdb/web", "--timeout=60s")
    drain = ("drain", "node-a", "--ignore-daemonsets", "--delete-emptydir-data", "--force",
             "--pod-selector=app=web", "--timeout=3s")  # fmt: skip
    try:
        assert "would violate the pod's disruption budget" in kubectl.refused(*drain)
        kubectl("-n", namespace, "patch", "pdb", "web", "--type=merge", "-p", '{"spec": {"minAvailable": 0}}')
        kubectl("-n", namespace, "wait", "--for=jsonpath={.status.disruptionsAllowed}=3", "pdb/web", "--timeout=60s")
        assert "drained" in kubectl(*drain[:-1], "--timeout=60s")
    finally:
        kubectl("uncordon", "node-a")


def test_a_taint_and_a_cordon_keep_pods_away_and_say_so(kubectl, namespace):
    kubectl("cordon", "node-a")
    try:
        kubectl("-n", namespace, "run", "p", "--image=registry.test/app:1")
        kubectl("-n", namespace, "wait", "pod/p", "--for=condition=PodScheduled=False", "--timeout=60s")
        assert "1 node(s) were unschedulable" in kubectl("-n", namespace, "describe", "pod", "p")
    finally:
        kubectl("uncordon", "node-a")
    kubectl("-n", namespace, "wait", "pod/p", "--for=condition=Ready", "--timeout=60s")


def test_logs_and_exec_reach_the_container(kubectl, namespace):
    kubectl("-n", namespace, "run", "p", "--image=registry.test/app:1")
    kubectl("-n", namespace, "wait", "pod/p", "--for=condition=Ready", "--timeout=60s")
    kubectl("-n", namespace, "logs", "p", "--tail=5", "--timestamps")
    assert "container ghost is not valid for pod p" in kubectl.refused("-n", namespace, "logs", "p", "-c", "ghost")
    assert "top" not in kubectl.run("-n", namespace, "exec", "p", "--", "true").stderr


def test_top_shows_nodes_and_pods(kubectl):
    assert kubectl("top", "nodes").splitlines()[1].startswith("node-a")
