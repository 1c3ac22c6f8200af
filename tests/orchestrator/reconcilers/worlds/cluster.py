"""Worlds of the reconcilers of nodes, volumes, namespaces, owners and limits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from orchestrator.machinery.clock import rfc3339
from orchestrator.objects.kinds import (
    CONFIGMAPS,
    DEPLOYMENTS,
    HPAS_V2,
    LEASES,
    NAMESPACES,
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    PODDISRUPTIONBUDGETS,
    PODS,
    RESOURCEQUOTAS,
    SECRETS,
    SERVICEACCOUNTS,
    STORAGECLASSES,
)
from orchestrator.objects.meta import Obj, owner_reference
from orchestrator.reconcilers.disruption import DisruptionReconciler
from orchestrator.reconcilers.garbage import GarbageCollector
from orchestrator.reconcilers.hpa import HpaReconciler
from orchestrator.reconcilers.namespace import NamespaceReconciler
from orchestrator.reconcilers.node_lifecycle import NodeLifecycleReconciler
from orchestrator.reconcilers.pod_garbage import PodGarbageCollector
from orchestrator.reconcilers.quota import QuotaReconciler
from orchestrator.reconcilers.service_account import ServiceAccountReconciler
from orchestrator.reconcilers.volumes import ClaimReconciler, VolumeReconciler
from tests.orchestrator.in_process import InProcessApi
from tests.orchestrator.reconcilers.crashes import Case, Step, deleted, kubelets, later, once, patched, user
from tests.orchestrator.world import Plane, deployment, node, pod

HERE = {"namespace": "default"}
RUNNING = {"phase": "Running", "podIP": "10.244.9.9", "conditions": [{"type": "Ready", "status": "True"}]}
TOLERANT = [
    {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}
    for what in ("not-ready", "unreachable")
]
LEASE = {
    "metadata": {"name": "n1", "namespace": "kube-node-lease"},
    "spec": {"holderIdentity": "n1", "renewTime": "2026-01-01T00:00:00.000000Z"},
}
CLAIM = {
    "metadata": {"name": "data", **HERE},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
MANUAL_CLASS = {"metadata": {"name": "manual"}, "provisioner": "kubernetes.io/no-provisioner"}
MANUAL_CLAIM = {**CLAIM, "spec": {**CLAIM["spec"], "storageClassName": "manual"}}
VOLUME = {
    "metadata": {"name": "v"},
    "spec": {
        "capacity": {"storage": "2Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "manual",
        "hostPath": {"path": "/x"},
        "persistentVolumeReclaimPolicy": "Retain",
    },
}


def running(name: str, **spec: Any) -> Obj:
    return {**pod(name, labels={"app": "web"}, nodeName="n1", **spec), "status": RUNNING}


def while_another_answers(seconds: float) -> Step:
    """Time passes, and a node beside ours renews its lease."""

    async def wait(world: Plane) -> None:
        end = world.step_began + seconds
        while (moment := world.clock.elapsed) < end:
            await world.renew_lease("n2")
            await world.advance_to(min(moment + 10, end))
        await world.renew_lease("n2")

    return wait


async def node_comes_back(world: Plane) -> None:
    await world.renew_lease("n1")
    found = await world.api.get(NODES, "n1")
    conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
    await world.api.update(
        NODES, {**found, "status": {**found["status"], "conditions": conditions}}, subresource="status"
    )


async def tainted(world: Plane) -> None:
    since = {"key": "evict", "effect": "NoExecute", "timeAdded": rfc3339(world.clock.now())}
    await world.api.patch(NODES, "n1", patch={"spec": {"taints": [since]}})


async def owned_configmaps(api: InProcessApi) -> None:
    """A Secret, what it owns, and what that owns."""
    root = await api.create(SECRETS, {"metadata": {"name": "root", **HERE}})
    for name in ("one", "two"):
        owner = {**owner_reference(root), "blockOwnerDeletion": True}
        middle = await api.create(CONFIGMAPS, {"metadata": {"name": name, **HERE, "ownerReferences": [owner]}})
        leaf = {"name": f"{name}-leaf", **HERE, "ownerReferences": [owner_reference(middle)]}
        await api.create(CONFIGMAPS, {"metadata": leaf})


async def filled_namespace(api: InProcessApi) -> None:
    await api.create(NAMESPACES, {"metadata": {"name": "app"}})
    held = {"name": "held", "namespace": "app", "finalizers": ["example.test/wait"]}
    await api.create(SECRETS, {"metadata": held})
    one = deployment(replicas=1)
    one["metadata"]["namespace"] = "app"
    await api.create(DEPLOYMENTS, one)
    await api.create(PODS, {**pod("alone"), "metadata": {"name": "alone", "namespace": "app"}})


def let_go(api: InProcessApi) -> Any:
    return api.patch(SECRETS, "held", "app", patch={"metadata": {"finalizers": None}})


async def busy(world: Plane) -> None:
    """Each pod uses twice what it should."""
    usage = [{"name": "main", "usage": {"cpu": "100m"}}]
    labels = {"app": "web"}
    world.api.metrics.objects = [
        {"metadata": {"name": name, **HERE, "labels": labels}, "containers": usage} for name in ("a", "b")
    ]


AUTOSCALER = {
    "metadata": {"name": "web", **HERE},
    "spec": {
        "minReplicas": 1,
        "maxReplicas": 10,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
            }
        ],
    },
}
STARTED = {**RUNNING, "startTime": "2025-12-01T00:00:00Z"}
BUSY_PODS = [
    (PODS, {**pod(name, labels={"app": "web"}, nodeName="n1", requests={"cpu": "100m"}), "status": STARTED})
    for name in ("a", "b")
]
BUDGET = {
    "metadata": {"name": "b", **HERE},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1},
}
QUOTA = {"metadata": {"name": "q", **HERE}, "spec": {"hard": {"pods": "5", "count/configmaps": "9"}}}

CASES = (
    Case(
        "a node falls silent, its pods go when their patience ends, and it comes back",
        NodeLifecycleReconciler,
        [
            *((NODES, node(name)) for name in ("n1", "n2")),
            (LEASES, LEASE),
            *((PODS, running(name, **spec)) for name, spec in (("a", {"tolerations": TOLERANT}), ("b", {}))),
        ],
        [
            "update nodes/status n1",
            "patch nodes n1",
            "update pods/status a",
            "update pods/status b",
            "update pods/status a",
            "delete pods a",
            "patch nodes n1",
        ],
        [while_another_answers(90), while_another_answers(40), kubelets, once(node_comes_back)],
    ),
    Case(
        "a taint by hand, and a cordon",
        NodeLifecycleReconciler,
        [(NODES, node("n1")), (PODS, running("a"))],
        [
            "update pods/status a",
            "delete pods a",
            "patch nodes n1",
        ],
        [once(tainted), kubelets, patched(NODES, "n1", {"spec": {"unschedulable": True}})],
    ),
    Case(
        "pods of a node that is gone; who starts anew waits anew",
        PodGarbageCollector,
        [(PODS, running("a")), (PODS, running("b"))],
        [
            "update pods/status a",
            "update pods/status b",
            "delete pods a",
            "delete pods b",
        ],
        [later(41), later(41)],
    ),
    Case(
        "a folder is made for the first pod",
        ClaimReconciler,
        [(NODES, node("n1")), (PERSISTENTVOLUMECLAIMS, CLAIM)],
        [
            "create storageclasses local",
            "patch persistentvolumeclaims data",
            "create persistentvolumes pvc-*",
            "update persistentvolumes/status pvc-*",
            "patch persistentvolumeclaims data",
            "update persistentvolumeclaims/status data",
        ],
        [
            later(1),
            patched(
                PERSISTENTVOLUMECLAIMS,
                "data",
                {"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n1"}}},
            ),
        ],
    ),
    Case(
        "a volume that is there is taken; the claim stays while a pod uses it",
        ClaimReconciler,
        [
            (STORAGECLASSES, MANUAL_CLASS),
            (PERSISTENTVOLUMES, VOLUME),
            (PERSISTENTVOLUMECLAIMS, MANUAL_CLAIM),
            (PODS, pod("user", volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}])),
        ],
        [
            "patch persistentvolumeclaims data",
            "patch persistentvolumes v",
            "patch persistentvolumeclaims data",
            "update persistentvolumeclaims/status data",
            "patch persistentvolumeclaims data",
        ],
        [later(1), deleted(PERSISTENTVOLUMECLAIMS, "data"), later(1), deleted(PODS, "user")],
        others=(VolumeReconciler,),
    ),
    Case(
        "kept when its claim goes",
        VolumeReconciler,
        [(STORAGECLASSES, MANUAL_CLASS), (PERSISTENTVOLUMES, VOLUME), (PERSISTENTVOLUMECLAIMS, MANUAL_CLAIM)],
        [
            "3 × update persistentvolumes/status v",
        ],
        [later(1), deleted(PERSISTENTVOLUMECLAIMS, "data"), later(1)],
        others=(ClaimReconciler,),
    ),
    Case(
        "dependents follow",
        GarbageCollector,
        (),
        [
            "delete configmaps one",
            "delete configmaps two",
            "delete configmaps one-leaf",
            "delete configmaps two-leaf",
        ],
        [user(owned_configmaps), deleted(SECRETS, "root", "Background")],
    ),
    Case(
        "the owner goes last",
        GarbageCollector,
        (),
        [
            "delete configmaps one",
            "delete configmaps two",
            "delete configmaps one-leaf",
            "delete configmaps two-leaf",
            "patch configmaps one",
            "patch configmaps two",
            "patch secrets root",
        ],
        [user(owned_configmaps), deleted(SECRETS, "root", "Foreground")],
    ),
    Case(
        "dependents are let go",
        GarbageCollector,
        (),
        [
            "patch configmaps one",
            "patch configmaps two",
            "patch secrets root",
        ],
        [user(owned_configmaps), deleted(SECRETS, "root", "Orphan")],
    ),
    Case(
        "all that is in it goes, the last thing when it is let go",
        NamespaceReconciler,
        (),
        [
            "delete configmaps kube-root-ca.crt",
            "delete secrets held",
            "delete serviceaccounts default",
            "delete deployments web",
            "delete pods alone",
            "update namespaces/status app",
            "update namespaces/finalize app",
        ],
        [user(filled_namespace), user(lambda api: api.delete(NAMESPACES, "app")), later(3), user(let_go), later(12)],
    ),
    Case(
        "counted as pods come and go",
        QuotaReconciler,
        [(RESOURCEQUOTAS, QUOTA), (PODS, running("a"))],
        [
            "3 × update resourcequotas/status q",
        ],
        [later(1), user(lambda api: api.create(PODS, pod("b"))), later(1), deleted(PODS, "b"), later(1)],
    ),
    Case(
        "room for one, then for none",
        DisruptionReconciler,
        [(PODDISRUPTIONBUDGETS, BUDGET), (PODS, running("a")), (PODS, running("b"))],
        [
            "3 × update poddisruptionbudgets/status b",
        ],
        [later(1), deleted(PODS, "a"), kubelets],
    ),
    Case(
        "account and authority come back",
        ServiceAccountReconciler,
        (),
        [
            "3 × update configmaps kube-root-ca.crt",
            "create serviceaccounts default",
            "create configmaps kube-root-ca.crt",
        ],
        [
            later(1),
            user(lambda api: api.delete(SERVICEACCOUNTS, "default", "default")),
            user(lambda api: api.delete(CONFIGMAPS, "kube-root-ca.crt", "default")),
            later(1),
        ],
        settings=SimpleNamespace(data=Path(__file__).parent),
    ),
    Case(
        "twice the use, twice the pods",
        HpaReconciler,
        [(DEPLOYMENTS, deployment(replicas=2)), (HPAS_V2, AUTOSCALER), *BUSY_PODS],
        [
            "update horizontalpodautoscalers/status web",
            "patch deployments web",
            "2 × update horizontalpodautoscalers/status web",
        ],
        [later(1), busy, later(20), later(20)],
        unsaid=("lastScaleTime",),
    ),
)
