"""No object, however odd, is answered with an internal error: it is made, or refused by name."""

from __future__ import annotations

import copy
import itertools

import pytest

from orchestrator import errors
from orchestrator.apiserver import create, patch
from orchestrator.apiserver.call import Call
from orchestrator.objects import kinds
from orchestrator.objects.decode import decode

CREATABLE = [resource for resource in kinds.BUILT_IN if "patch" in resource.verbs]
ODD = [None, {}, [], "", "x", 0, -1, 2**40, True, [None], [{}], {"": None}, {"a": {"b": []}}, "é" * 300, ["a", "a"]]
FIELDS = ("spec", "status", "data", "rules", "roleRef", "subjects", "value", "metadata", "template", "involvedObject")
DEEPER = (
    "selector", "template", "containers", "ports", "type", "clusterIP", "replicas", "limits", "hard", "versions",
    "names", "schedule", "jobTemplate", "podSelector", "ingress", "accessModes", "resources", "tolerations", "volumes",
    "strategy", "updateStrategy", "minAvailable", "metrics", "scaleTargetRef", "taints", "renewTime", "scopes",
)  # fmt: skip


async def attempt(api, resource, body) -> None:
    """Create it as a client would; only API errors below 500 may come of it."""
    call = Call("create", resource, "default" if resource.namespaced else "", dry_run=True)
    try:
        obj, _ = decode(resource, copy.deepcopy(body), "Ignore")
        await create.create(api, call, obj)
    except errors.ApiError as error:
        assert error.code < 500, f"{resource} {body}: {error}"


@pytest.mark.parametrize("resource", CREATABLE, ids=str)
async def test_odd_values_of_any_field_make_no_internal_error(api, resource):
    meta = {"name": "odd"}
    await attempt(api, resource, {})
    await attempt(api, resource, {"metadata": meta})
    for field, value in itertools.product(FIELDS, ODD):
        await attempt(api, resource, {"metadata": meta, field: value})
    for field, value in itertools.product(DEEPER, ODD):
        await attempt(api, resource, {"metadata": meta, "spec": {field: value}})


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("field", ["labels", "annotations", "ownerReferences", "finalizers", "managedFields", "name"])
async def test_odd_metadata_makes_no_internal_error(api, field, value):
    await attempt(api, kinds.CONFIGMAPS, {"metadata": {"name": "odd", field: value}})
    for kind in ("merge", "strategic", "json", "apply"):
        content = {"metadata": {field: value}}
        if kind == "json":
            content = [{"op": "add", "path": f"/metadata/{field}", "value": value}]
        elif kind == "apply":
            content |= {"apiVersion": "v1", "kind": "ConfigMap"}
        call = Call("patch", kinds.CONFIGMAPS, "default", "kube-root-ca.crt", dry_run=True)
        try:
            await patch.patch(api, call, kind, content)
        except errors.ApiError as error:
            assert error.code < 500, f"{kind} {field}={value!r}: {error}"


POD_SPEC = {
    "containers": [
        {
            "name": "c",
            "image": "i:1",
            "command": ["a"],
            "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            "envFrom": [{"configMapRef": {"name": "m"}}],
            "ports": [{"containerPort": 80, "name": "web", "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}},
            "livenessProbe": {"httpGet": {"path": "/", "port": "web"}, "periodSeconds": 5},
            "lifecycle": {"preStop": {"exec": {"command": ["x"]}}},
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            "securityContext": {"runAsUser": 1, "capabilities": {"drop": ["ALL"]}},
        }
    ],
    "initContainers": [{"name": "i", "image": "i:1", "restartPolicy": "Always"}],
    "volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}}, {"name": "e", "emptyDir": {}}],
    "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}],
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
                 "topologyKey": "kubernetes.io/hostname"}
            ]
        }
    },
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}],
    "imagePullSecrets": [{"name": "p"}],
    "nodeSelector": {"a": "b"},
    "terminationGracePeriodSeconds": 5,
}  # fmt: skip
LABELLED = {"metadata": {"labels": {"a": "b"}}, "spec": POD_SPEC}
SELECTOR = {"matchLabels": {"a": "b"}}
CROSS = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
SPECS = {
    kinds.PODS: POD_SPEC,
    kinds.DEPLOYMENTS: {"replicas": 1, "selector": SELECTOR, "template": LABELLED,
                        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}},
    kinds.SERVICES: {"type": "NodePort", "ports": [{"name": "p", "port": 80, "targetPort": "web", "nodePort": 30001}],
                     "selector": {"a": "b"}, "sessionAffinity": "ClientIP", "clusterIPs": ["10.96.3.3"],
                     "clusterIP": "10.96.3.3", "externalIPs": ["192.0.2.1"], "ipFamilies": ["IPv4"]},
    kinds.JOBS: {"completions": 2, "parallelism": 1, "template": {"spec": {**POD_SPEC, "restartPolicy": "Never"}},
                 "podFailurePolicy": {"rules": [
                     {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [3]}}]}},
    kinds.HPAS_V2: {"maxReplicas": 3, "scaleTargetRef": CROSS, "metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5}}}],
        "behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}]}}},
    kinds.INGRESSES: {"rules": [{"host": "a.test", "http": {"paths": [
        {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}],
        "tls": [{"hosts": ["a.test"], "secretName": "t"}]},
    kinds.NETWORKPOLICIES: {"podSelector": SELECTOR, "policyTypes": ["Ingress"], "ingress": [
        {"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 80}]}]},
    kinds.RESOURCEQUOTAS: {"hard": {"pods": "1"}, "scopes": ["BestEffort"]},
    kinds.LIMITRANGES: {"limits": [{"type": "Container", "max": {"cpu": "1"}, "default": {"cpu": "500m"}}]},
    kinds.CRDS: {"group": "g.test", "scope": "Namespaced", "names": {"plural": "odd", "kind": "Odd"}, "versions": [
        {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}}}}}}]},
}  # fmt: skip


def mutations(value, path=()):
    """Every path into a JSON value."""
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from mutations(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from mutations(item, (*path, index))


def replaced(value, path, new):
    if not path:
        return new
    copied = copy.copy(value)
    copied[path[0]] = replaced(value[path[0]], path[1:], new)
    return copied


@pytest.mark.parametrize("resource", SPECS, ids=str)
async def test_an_odd_value_anywhere_in_a_good_object_makes_no_internal_error(api, resource):
    name = "odd.g.test" if resource is kinds.CRDS else "odd"
    for path in mutations(SPECS[resource]):
        for value in ODD:
            await attempt(api, resource, {"metadata": {"name": name}, "spec": replaced(SPECS[resource], path, value)})
