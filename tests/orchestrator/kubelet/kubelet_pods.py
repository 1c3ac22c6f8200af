"""Pods, containers and their attempts for the tests of the agent."""

from __future__ import annotations

from typing import Any

from orchestrator.kubelet.runtime import ContainerStatus, PodRef

IMAGE = "registry.example/busybox:1"
REF = PodRef("default", "web", "uid-1")


def make_container(name: str = "main", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, **fields}


def make_pod(*containers: dict[str, Any], name: str = "web", uid: str = "uid-1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": uid, "labels": {"app": name}},
        "spec": {
            "nodeName": "node-1",
            "automountServiceAccountToken": False,
            "containers": list(containers) or [make_container()],
            **spec,
        },
        "status": {"phase": "Pending", "qosClass": "BestEffort"},
    }


def attempt(
    name: str = "main", number: int = 0, state: str = "running", exit_code: int = 0, **fields: Any
) -> ContainerStatus:
    times = {"created_at": 100.0, "started_at": 0.0 if state == "created" else 101.0}
    times["finished_at"] = 110.0 if state == "exited" else 0.0
    known = {"id": f"{name}-{number}", "pod": REF, "name": name, "attempt": number, "state": state, "image": IMAGE}
    return ContainerStatus(**{**known, **times, "sandbox_id": "sandbox", "exit_code": exit_code, **fields})
