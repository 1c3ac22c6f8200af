"""What a pod finds of its cluster: its own token, the authority, the API's address; and how long the token is good."""

from __future__ import annotations

import json
import time

from tests.conformance.on_engine.test_kubectl_streams import start

FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}


def test_a_pod_has_a_token_of_its_own(kubectl, namespace, image):
    start(kubectl, namespace, "p", image)

    def inside(script: str) -> str:
        return kubectl("-n", namespace, "exec", "p", "--", "sh", "-c", script)

    assert inside(f"cat {FOLDER}/namespace") == namespace
    assert inside(f"cat {FOLDER}/ca.crt").startswith("-----BEGIN CERTIFICATE-----")
    claims = kubectl("create", "-f", "-", "-o", "json", stdin=review(inside(f"cat {FOLDER}/token")))
    user = json.loads(claims)["status"]["user"]
    assert user["username"] == f"system:serviceaccount:{namespace}:default"
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    assert inside("echo $KUBERNETES_SERVICE_HOST").strip() == kubectl(
        "get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}"
    )


def test_a_pod_that_runs_as_a_user_reads_what_it_mounts(kubectl, namespace, image):
    kubectl("-n", namespace, "create", "configmap", "settings", "--from-literal=color=blue")
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": CLAIM}
    kubectl("-n", namespace, "create", "-f", "-", stdin=json.dumps(claim))
    volumes = [
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
    ]
    mounts = [{"name": "settings", "mountPath": "/settings"}, {"name": "data", "mountPath": "/data"}]
    user = {"runAsUser": 10001, "runAsNonRoot": True}
    start(kubectl, namespace, "p", image, volumes=volumes, securityContext=user, container={"volumeMounts": mounts})
    script = f"id -u; cat /settings/color; echo; wc -c < {FOLDER}/token; touch /data/mine && echo wrote"
    said = kubectl("-n", namespace, "exec", "p", "--", "sh", "-c", script).split()
    assert said[:2] == ["10001", "blue"] and int(said[2]) > 100 and said[3] == "wrote"


def test_a_token_ends_with_its_pod(kubectl, namespace, image):
    start(kubectl, namespace, "p", image)
    token = kubectl("-n", namespace, "exec", "p", "--", "cat", f"{FOLDER}/token")
    kubectl("-n", namespace, "delete", "pod", "p", "--timeout=60s")
    end = time.monotonic() + 60
    while json.loads(kubectl("create", "-f", "-", "-o", "json", stdin=review(token)))["status"].get("authenticated"):
        assert time.monotonic() < end, "the token of a pod that is gone is still good"
        time.sleep(0.2)


def review(token: str) -> str:
    spec = {"token": token.strip()}
    return json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec})
