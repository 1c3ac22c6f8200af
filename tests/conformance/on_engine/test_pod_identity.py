"""What a pod finds of its cluster: its own token, the authority, the API's address; and how long the token is good."""

from __future__ import annotations

import json
import time

from tests.conformance.on_engine.test_kubectl_streams import start

FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


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


def test_a_token_ends_with_its_pod(kubectl, namespace, image):
    start(kubectl, namespace, "p", image)
    token = kubectl("-n", namespace, "exec", "p", "--", "cat", f"{FOLDER}/token")
    kubectl("-n", namespace, "delete", "pod", "p", "--timeout=20s")
    end = time.monotonic() + 10
    while json.loads(kubectl("create", "-f", "-", "-o", "json", stdin=review(token)))["status"].get("authenticated"):
        assert time.monotonic() < end, "the token of a pod that is gone is still good"
        time.sleep(0.2)


def review(token: str) -> str:
    spec = {"token": token.strip()}
    return json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec})
