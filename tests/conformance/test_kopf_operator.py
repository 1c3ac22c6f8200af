"""An unmodified kopf operator manages a custom resource: handlers, finalizers, status, retries, timers, events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

OPERATOR = Path(__file__).with_name("operator_of_gardens.py")
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gardens.example.test"},
    "spec": {
        "group": "example.test",
        "scope": "Namespaced",
        "names": {"plural": "gardens", "singular": "garden", "kind": "Garden"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "plants": {"type": "array", "items": {"type": "string"}},
                                    "flaky": {"type": "boolean"},
                                },
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture
def operator(cluster, kubectl, namespace, tmp_path):
    """`kopf run` over the namespace, and a way to stop and start it."""
    kubectl("apply", "-f", "-", stdin=json.dumps(DEFINITION))
    kubectl("wait", "--for=condition=Established", "crd/gardens.example.test", "--timeout=60s")
    running: list[subprocess.Popen[bytes]] = []
    log = tmp_path / "operator.log"

    def start() -> None:
        command = [sys.executable, "-m", "kopf", "run", str(OPERATOR), f"--namespace={namespace}", "--standalone"]
        environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
        with log.open("ab") as output:
            running.append(subprocess.Popen(command, stdout=output, stderr=output, env=environment))

    def stop() -> None:
        process = running.pop()
        process.terminate()
        assert process.wait(60) == 0, log.read_text()

    start.stop = stop
    start()
    yield start
    for process in running:
        process.kill()
        process.wait()
    if kubectl("-n", namespace, "get", "gardens", "-o", "name"):  # only when a test failed: nobody lets it go
        kubectl("-n", namespace, "patch", "garden", "rose", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    kubectl("delete", "crd", "gardens.example.test", "--timeout=60s")


def garden(**spec: object) -> str:
    meta = {"name": "rose"}
    return json.dumps({"apiVersion": "example.test/v1", "kind": "Garden", "metadata": meta, "spec": spec})


def until(read, expected: str, deadline: float = 60) -> None:
    end = time.monotonic() + deadline
    while (found := read()) != expected:
        assert time.monotonic() < end, f"{found!r} did not become {expected!r}"
        time.sleep(0.1)


def test_an_operator_manages_its_kind_from_birth_to_death(kubectl, namespace, operator):
    def field(what: str, path: str) -> str:
        return kubectl("-n", namespace, "get", *what.split(), "--ignore-not-found", "-o", f"jsonpath={path}")

    kubectl("-n", namespace, "apply", "-f", "-", stdin=garden(plants=["tea", "moss"]))
    until(lambda: field("cm rose-plants", "{.data.plants}"), "tea,moss")
    until(lambda: field("garden rose", "{.status.plant.configmap} {.status.count}"), "rose-plants 2")
    assert field("garden rose", "{.metadata.finalizers}") == '["gardens.example.test/finalizer"]'
    assert field("cm rose-plants", "{.metadata.ownerReferences[0].kind}") == "Garden"

    kubectl("-n", namespace, "apply", "-f", "-", stdin=garden(plants=["tea", "moss", "ivy"], flaky=True))
    until(lambda: field("cm rose-plants", "{.data.plants}"), "tea,moss,ivy")
    until(lambda: field("garden rose", "{.status.weather/spec\\.flaky} {.status.count}"), "sunny 3")
    assert int(field("garden rose", "{.status.watered}")) >= 1
    until(lambda: str("rain, attempt 0" in kubectl("-n", namespace, "events", "--for", "garden/rose")), "True")

    kubectl("-n", namespace, "label", "cm", "rose-plants", "watched-by=gardener")
    kubectl("-n", namespace, "annotate", "cm", "rose-plants", "seen=now")
    until(lambda: field("cm rose-plants", "{.metadata.labels.watched-by}"), "nobody")

    operator.stop()
    kubectl("-n", namespace, "delete", "garden", "rose", "--wait=false")
    assert field("garden rose", "{.metadata.deletionTimestamp}") != "", "the finalizer holds it"
    operator()
    kubectl("-n", namespace, "wait", "garden/rose", "--for=delete", "--timeout=60s")
    assert field("cm rose-harvest", "{.data.plants}") == "tea,moss,ivy"
    assert "configmap/rose-unguarded-" in kubectl("-n", namespace, "get", "cm", "-o", "name")
    until(lambda: field("cm rose-plants", "{.metadata.name}"), "")
