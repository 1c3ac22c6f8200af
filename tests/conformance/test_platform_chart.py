"""The platform's own chart on a live API server: what is kept over upgrades and over an uninstallation."""

from __future__ import annotations

import json

import pytest

from tests.charts.rendering import CHART, helm


@pytest.fixture
def release(cluster, kubectl, namespace):
    with helm.Config(kubeconfig_path=cluster.kubeconfig, namespace=namespace) as config:
        yield config
    kubectl("delete", "namespace", f"{namespace}-b", "--ignore-not-found", "--wait=false")


def listed(kubectl, namespace: str, kinds: str) -> set[str]:
    return set(kubectl("-n", namespace, "get", kinds, "-o", "name").split())


def secrets(kubectl, namespace: str) -> dict[str, dict[str, str]]:
    items = json.loads(kubectl("-n", namespace, "get", "secrets", "-o", "json"))["items"]
    return {item["metadata"]["name"]: item["data"] for item in items if item["type"] == "Opaque"}


def test_secrets_outlive_upgrades_rollbacks_and_the_release(kubectl, namespace, release):
    values = {"builder": {"namespace": f"{namespace}-b"}, "images": {"registry": "registry.example/paas", "tag": "1"}}
    release.install(CHART, "paas", values)
    first = secrets(kubectl, namespace)
    assert first.keys() == {"paas-keys", "paas-admin"} and len(first["paas-keys"]) == 11

    changed = {**values, "registration": "enabled", "admin": {"password": "too late", "username": "admin"}}
    assert release.upgrade(CHART, "paas", changed)["revision"] == 2
    assert secrets(kubectl, namespace) == first
    path = "jsonpath={.spec.template.spec.containers[0].env[?(@.name=='REGISTRATION_MODE')].value}"
    assert kubectl("-n", namespace, "get", "deployment", "paas-controller", "-o", path) == "enabled"
    assert {name for name in listed(kubectl, namespace, "jobs") if "migrate" in name} == {"job.batch/paas-migrate-2"}

    release.rollback("paas", version=1)
    assert kubectl("-n", namespace, "get", "deployment", "paas-controller", "-o", path) == "admin_only"
    assert "job.batch/paas-migrate-1" in listed(kubectl, namespace, "jobs") and secrets(kubectl, namespace) == first

    release.uninstall("paas")
    assert secrets(kubectl, namespace) == first
    left = listed(kubectl, namespace, "deploy,sts,ds,svc,cm,sa,netpol,pdb,jobs,roles,rolebindings")
    assert left == {"configmap/kube-root-ca.crt", "serviceaccount/default"}
    wide = kubectl("get", "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/instance=paas", "-o", "name")
    assert wide == ""

    release.install(CHART, "paas", values)
    assert secrets(kubectl, namespace) == first
    release.uninstall("paas")


def test_the_accounts_may_do_what_programs_ask(kubectl, namespace, release):
    release.install(CHART, "paas", {"builder": {"namespace": f"{namespace}-b"}})

    def may(account: str, verb: str, what: str, where: str) -> bool:
        who = f"--as=system:serviceaccount:{namespace}:paas-{account}"
        return kubectl.run("auth", "can-i", verb, *what.split(), "-n", where, who).stdout.strip() == "yes"

    assert may("controller", "create", "namespaces", "any")
    assert may("router", "watch", "endpointslices.discovery.k8s.io", "any")
    assert may("logger", "get", "pods --subresource=log", "any")
    assert may("builder", "create", "jobs.batch", f"{namespace}-b") and not may(
        "builder", "create", "jobs.batch", "any"
    )
    assert not may("logger", "get", "secrets", "any") and not may("router", "delete", "services", "any")
    release.uninstall("paas")
