"""Variables, files and limits of a container."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from kubelet_pods import make_container, make_pod

from orchestrator.kubelet.environment import (
    ConfigError,
    NodeView,
    expand,
    field_value,
    referred_sources,
    render_environment,
    service_environment,
)
from orchestrator.kubelet.payloads import render_payload
from orchestrator.kubelet.resources import oom_score_adj, render_resources, resource_value
from orchestrator.kubelet.runtime import Image
from orchestrator.kubelet.security import render_security

NODE = NodeView(name="node-1", address="192.0.2.1", cpus=2, memory=4 * 2**30)
CONFIG = {"data": {"color": "blue", "size": "big"}}
SECRET = {"data": {"key": base64.b64encode(b"hidden").decode()}}
SOURCES: dict[tuple[str, str], Any] = {("ConfigMap", "c"): CONFIG, ("Secret", "s"): SECRET, ("ConfigMap", "no"): None}


def environment(container: dict[str, Any], **fields: Any) -> dict[str, str]:
    given = {"sources": SOURCES, "services": {}, "node": NODE, "address": "10.0.0.5", **fields}
    return render_environment(make_pod(container), container, **given)


def test_later_sources_win_and_may_refer_to_earlier_ones() -> None:
    container = make_container(
        envFrom=[{"configMapRef": {"name": "c"}}, {"prefix": "S_", "secretRef": {"name": "s"}}],
        env=[
            {"name": "color", "value": "red"},
            {"name": "text", "value": "$(color) $(S_key) $(none) $$(color)"},
            {"name": "ip", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "secret", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
        ],
    )
    assert referred_sources(container) == {("ConfigMap", "c"), ("Secret", "s")}
    assert environment(container, services={"size": "small"}) == {
        "size": "big", "color": "red", "S_key": "hidden", "text": "red hidden $(none) $(color)", "ip": "10.0.0.5",
        "secret": "hidden",
    }  # fmt: skip


def test_missing_references_are_named_unless_optional() -> None:
    missing = {"name": "no", "key": "x"}
    with pytest.raises(ConfigError, match='configmap "no" not found'):
        environment(make_container(env=[{"name": "A", "valueFrom": {"configMapKeyRef": missing}}]))
    with pytest.raises(ConfigError, match="couldn't find key x in ConfigMap default/c"):
        environment(make_container(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "x"}}}]))
    optional = {"name": "A", "valueFrom": {"configMapKeyRef": {**missing, "optional": True}}}
    assert environment(make_container(env=[optional])) == {}


def test_expansion_follows_kubernetes() -> None:
    known = {"A": "1", "B": "2"}
    assert expand("$(A)$(B)", known) == "12"
    assert expand("$A ${A} $(C)", known) == "$A ${A} $(C)"
    assert expand("$$(A) $$$(A)", known) == "$(A) $1"


def test_labels_and_annotations_by_name() -> None:
    pod = make_pod()
    pod["metadata"]["labels"] = {"a/b": 'x"y'}
    assert field_value(pod, "metadata.labels['a/b']", node=NODE, address="") == 'x"y'
    assert field_value(pod, "metadata.labels", node=NODE, address="") == 'a/b="x\\"y"'


def test_services_of_the_namespace_as_variables() -> None:
    ports = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    service = {"metadata": {"name": "my-db", "namespace": "default"}, "spec": {"clusterIP": "10.1.0.9", "ports": ports}}
    headless = {"metadata": {"name": "none", "namespace": "default"}, "spec": {"clusterIP": "None", "ports": ports}}
    found = service_environment([service, headless], "default")
    assert found["MY_DB_SERVICE_HOST"] == "10.1.0.9" and found["MY_DB_SERVICE_PORT_HTTP"] == "80"
    assert found["MY_DB_PORT_53_UDP"] == "udp://10.1.0.9:53"
    assert not any(name.startswith("NONE") for name in found)


def test_limits_become_what_the_kernel_takes() -> None:
    made = render_resources({"resources": {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}}})
    assert (made.cpu_shares, made.cpu_quota, made.memory) == (256, 50_000, 64 * 2**20)
    free = render_resources({})
    assert (free.cpu_shares, free.cpu_quota, free.memory) == (2, 0, 0)


def test_resource_references_are_rounded_up_in_their_divisor() -> None:
    own = make_container(resources={"limits": {"memory": "1025Ki"}})
    pod = make_pod(own)
    ask = {"resource": "limits.memory", "divisor": "1Mi"}
    assert resource_value(pod, ask, own, cpus=2, memory=1) == "2"
    assert resource_value(pod, {"resource": "limits.cpu"}, own, cpus=2, memory=1) == "2"


def test_best_effort_dies_first() -> None:
    pod, asked = make_pod(), make_container(resources={"requests": {"memory": "2Gi"}})
    scores = []
    for quality in ("BestEffort", "Burstable", "Guaranteed"):
        pod["status"]["qosClass"] = quality
        scores.append(oom_score_adj(pod, asked, 4 * 2**30))
    assert scores == [1000, 500, 0]


def test_users_and_groups() -> None:
    container = make_container(securityContext={"runAsUser": 5})
    pod = make_pod(
        container, securityContext={"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]}
    )
    made = render_security(pod, container, Image("i"), oom_score_adj=0, profiles=Path())
    assert (made.user, made.groups) == ("5:2", ("4", "3"))


@pytest.mark.parametrize("user", ["", "root", "0", "app"])
def test_a_pod_that_must_not_be_root_is_refused_an_image_that_may_be(user: str) -> None:
    container = make_container(securityContext={"runAsNonRoot": True})
    with pytest.raises(ConfigError, match="non-root|runAsNonRoot"):
        render_security(make_pod(container), container, Image("i", user=user), oom_score_adj=0, profiles=Path())
    render_security(make_pod(container), container, Image("i", user="1000"), oom_score_adj=0, profiles=Path())


def test_files_of_projected_volumes() -> None:
    sources = [
        {"configMap": {"name": "c", "items": [{"key": "color", "path": "dir/color", "mode": 0o400}]}},
        {"secret": {"name": "s"}},
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    volume = {"name": "v", "projected": {"defaultMode": 0o440, "sources": sources}}
    made = render_payload(make_pod(), volume, SOURCES, {("", 600): "t0k"}, NODE, "10.0.0.5")
    assert {path: (entry.content, entry.mode) for path, entry in made.items()} == {
        "dir/color": (b"blue", 0o400), "key": (b"hidden", 0o440), "token": (b"t0k", 0o440), "name": (b"web", 0o440),
    }  # fmt: skip


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", ""])
def test_files_cannot_leave_their_volume(path: str) -> None:
    volume = {"name": "v", "configMap": {"name": "c", "items": [{"key": "color", "path": path}]}}
    with pytest.raises(ConfigError, match="not a path inside"):
        render_payload(make_pod(), volume, SOURCES, {}, NODE, "")
