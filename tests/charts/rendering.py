"""The chart as Helm's own SDK renders it, without a cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

helm = pytest.importorskip("helm_python", reason="helm-python-sdk has wheels for x86-64 only")

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "charts" / "paas"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())

FULL: dict[str, Any] = {
    "domain": "paas.example.com",
    "platformUrl": "https://paas.example.com",
    "appUrlTemplate": "https://{app}.paas.example.com",
    "gitSshUrl": "ssh://git@paas.example.com:22",
    "images": {"registry": "registry.example.com/paas", "tag": "1", "pullPolicy": "Always", "pullSecrets": ["pull"]},
    "registration": "disabled",
    "admin": {"username": "root", "email": "root@example.com", "password": "chosen-by-hand"},
    "controller": {
        "replicas": 3,
        "settings": {"SMTP_URL": "smtp://mail.example.com", "KEEP_IMAGES": 5, "OIDC_REGISTER": False},
        "settingsSecret": "more",
    },
    "builder": {
        "namespace": "builds",
        "buildkitImage": "moby/buildkit:rootless",
        "deniedNetworks": ["10.0.0.0/8"],
        "settings": {"BUILD_MEMORY": 2147483648, "PIP_INDEX_URL": "https://pypi.example.com/simple"},
    },
    "git": {"service": {"type": "NodePort", "port": 22, "nodePort": 30022, "annotations": {"a": "b"}}},
    "logger": {"settings": {"LOGGER_DAYS": 30}, "storage": {"size": "50Gi", "className": "fast"}},
    "router": {
        "service": {
            "type": "NodePort", "httpNodePort": 30080, "httpsNodePort": 30443, "annotations": {"a": "b"},
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
        },
        "trustedProxies": "10.0.0.0/8", "certificateSecret": "wildcard",
    },
    "registry": {
        "s3": {
            "bucket": "images", "root": "a/b", "region": "eu", "endpoint": "https://s3.example",
            "credentialsSecret": "s3",
        },
    },
    "postgresql": {"urlSecret": "database"},
    "redis": {"urlSecret": "redis"},
    "caConfigMap": "authorities",
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "paas", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "podAnnotations": {"note": "1"},
    "priorityClassName": "high",
}  # fmt: skip
ELSEWHERE: dict[str, Any] = {
    "registry": {"enabled": False, "host": "registry.example.com", "credentialsSecret": "login"},
    "postgresql": {"image": "postgres:17", "user": 999},
    "redis": {"image": "redis:7", "user": 999},
    "networkPolicies": False,
}
CASES = {"default": {}, "full": FULL, "elsewhere": ELSEWHERE}


def rendered(values: dict[str, Any]) -> dict[str, str]:
    """Path of each template and what comes of it, as the release `paas` in the namespace `platform`."""
    chart = helm.Chart.load(str(CHART))
    try:
        return chart.render(values, name="paas", namespace="platform", revision=1)
    finally:
        chart.close()


def objects(values: dict[str, Any], *, anew: bool = False) -> list[dict[str, Any]]:
    """Rendered once for the same values, unless `anew`; not to be changed."""
    key = json.dumps(values, sort_keys=True)
    if anew or key not in _known:
        texts = (text for path, text in rendered(values).items() if path.endswith(".yaml"))
        _known[key] = [document for text in texts for document in yaml.safe_load_all(text) if document]
    return _known[key]


_known: dict[str, list[dict[str, Any]]] = {}


def pods(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """`KIND/NAME` and the pod's spec of everything that makes pods."""
    for document in documents:
        name = f"{document['kind']}/{document['metadata']['name']}"
        if document["kind"] == "Pod":
            yield name, document["spec"]
        elif "template" in document.get("spec", {}):
            yield name, document["spec"]["template"]["spec"]


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [*spec.get("initContainers", ()), *spec["containers"]]
