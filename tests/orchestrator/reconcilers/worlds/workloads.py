"""Worlds of the reconcilers that keep pods running."""

from __future__ import annotations

from typing import Any

from orchestrator.objects.kinds import (
    DAEMONSETS,
    DEPLOYMENTS,
    NODES,
    PODS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    STATEFULSETS,
)
from orchestrator.objects.meta import Obj
from orchestrator.reconcilers.daemonset import DaemonSetReconciler
from orchestrator.reconcilers.deployment import DeploymentReconciler
from orchestrator.reconcilers.replicaset import ReplicaSetReconciler, ReplicationControllerReconciler
from orchestrator.reconcilers.statefulset import StatefulSetReconciler
from tests.orchestrator.reconcilers.crashes import Case, kubelets, later, patched, user
from tests.orchestrator.world import deployment, node, pod, pod_template

CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def template(image: str = "registry.test/app:1", node_name: str = "n1", **labels: str) -> Obj:
    """Pods of it are on a node, so that they end in two steps."""
    made = pod_template(**labels)
    made["spec"]["nodeName"] = node_name
    made["spec"]["containers"][0]["image"] = image
    return made


def workload(name: str, **spec: Any) -> Obj:
    meta = {"name": name, "namespace": "default"}
    return {"metadata": meta, "spec": {"selector": {"matchLabels": {"app": name}}, **spec}}


def deployed(**spec: Any) -> Obj:
    return deployment(replicas=2, template=template(app="web"), **spec)


NEW_IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "registry.test/app:2"}]}}}}
OLD_IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "registry.test/app:1"}]}}}}
ONE_MORE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}

CASES = (
    Case(
        "a first rollout",
        DeploymentReconciler,
        [(DEPLOYMENTS, deployed())],
        [
            "create replicasets web-*",
            "patch deployments web",
            "4 × update deployments/status web",
        ],
        [kubelets],
        others=(ReplicaSetReconciler,),
    ),
    Case(
        "a rolling update and back",
        DeploymentReconciler,
        [(DEPLOYMENTS, deployed(strategy=ONE_MORE))],
        [
            "create replicasets web-*",
            "patch deployments web",
            "4 × update deployments/status web",
            "create replicasets web-*",
            "patch deployments web",
            "2 × update deployments/status web",
            "patch replicasets web-*",
            "update deployments/status web",
            "patch replicasets web-*",
            "2 × update deployments/status web",
            "patch replicasets web-*",
            "update deployments/status web",
            "patch replicasets web-*",
            "patch deployments web",
            "patch replicasets web-*",
            "2 × update deployments/status web",
            "patch replicasets web-*",
            "update deployments/status web",
            "patch replicasets web-*",
            "2 × update deployments/status web",
            "patch replicasets web-*",
            "2 × update deployments/status web",
        ],
        [kubelets, patched(DEPLOYMENTS, "web", NEW_IMAGE), kubelets, patched(DEPLOYMENTS, "web", OLD_IMAGE), kubelets],
        others=(ReplicaSetReconciler,),
    ),
    Case(
        "recreating",
        DeploymentReconciler,
        [(DEPLOYMENTS, deployed(strategy={"type": "Recreate"}))],
        [
            "create replicasets web-*",
            "patch deployments web",
            "3 × update deployments/status web",
            "patch replicasets web-*",
            "2 × update deployments/status web",
            "create replicasets web-*",
            "patch deployments web",
            "3 × update deployments/status web",
        ],
        [kubelets, patched(DEPLOYMENTS, "web", NEW_IMAGE), kubelets],
        others=(ReplicaSetReconciler,),
    ),
    Case(
        "scaled while paused, and no history kept",
        DeploymentReconciler,
        [(DEPLOYMENTS, deployed(revisionHistoryLimit=0))],
        [
            "create replicasets web-*",
            "patch deployments web",
            "5 × update deployments/status web",
            "patch replicasets web-*",
            "4 × update deployments/status web",
            "create replicasets web-*",
            "patch deployments web",
            "2 × update deployments/status web",
            "patch replicasets web-*",
            "update deployments/status web",
            "patch replicasets web-*",
            "2 × update deployments/status web",
            "patch replicasets web-*",
            "update deployments/status web",
            "patch replicasets web-*",
            "2 × update deployments/status web",
            "patch replicasets web-*",
            "update deployments/status web",
            "delete replicasets web-*",
        ],
        [
            kubelets,
            patched(DEPLOYMENTS, "web", {"spec": {"paused": True, "replicas": 3, **NEW_IMAGE["spec"]}}),
            kubelets,
            patched(DEPLOYMENTS, "web", {"spec": {"paused": False}}),
            kubelets,
        ],
        others=(ReplicaSetReconciler,),
    ),
    Case(
        "a rollout that misses its deadline",
        DeploymentReconciler,
        [(DEPLOYMENTS, deployed(progressDeadlineSeconds=60))],
        [
            "create replicasets web-*",
            "patch deployments web",
            "3 × update deployments/status web",
        ],
        [later(61)],
        others=(ReplicaSetReconciler,),
    ),
    Case(
        "up and down",
        ReplicaSetReconciler,
        [(REPLICASETS, workload("web", replicas=3, template=template(app="web")))],
        [
            "3 × create pods web-*",
            "4 × update replicasets/status web",
            "2 × delete pods web-*",
            "update replicasets/status web",
        ],
        [kubelets, patched(REPLICASETS, "web", {"spec": {"replicas": 1}}), kubelets],
    ),
    Case(
        "a stray is taken in, one that was relabelled is let go",
        ReplicaSetReconciler,
        [
            (REPLICASETS, workload("web", replicas=2, template=template(app="web"))),
            (PODS, pod("stray", labels={"app": "web"}, nodeName="n1")),
        ],
        [
            "patch pods stray",
            "create pods web-*",
            "3 × update replicasets/status web",
            "patch pods stray",
            "create pods web-*",
            "2 × update replicasets/status web",
        ],
        [kubelets, patched(PODS, "stray", {"metadata": {"labels": {"app": "other"}}}), kubelets],
    ),
    Case(
        "up and down",
        ReplicationControllerReconciler,
        [
            (
                REPLICATIONCONTROLLERS,
                {
                    **workload("old"),
                    "spec": {"replicas": 2, "selector": {"app": "old"}, "template": template(app="old")},
                },
            )
        ],
        [
            "2 × create pods old-*",
            "3 × update replicationcontrollers/status old",
            "delete pods old-*",
            "update replicationcontrollers/status old",
        ],
        [kubelets, patched(REPLICATIONCONTROLLERS, "old", {"spec": {"replicas": 1}}), kubelets],
    ),
    Case(
        "one after the other, each with its claim",
        StatefulSetReconciler,
        [
            (
                STATEFULSETS,
                workload("db", replicas=2, serviceName="db", template=template(app="db"), volumeClaimTemplates=[CLAIM]),
            )
        ],
        [
            "create controllerrevisions db-*",
            "create persistentvolumeclaims data-db-0",
            "create pods db-0",
            "update statefulsets/status db",
            "create persistentvolumeclaims data-db-1",
            "create pods db-1",
            "2 × update statefulsets/status db",
            "delete pods db-1",
            "2 × update statefulsets/status db",
        ],
        [kubelets, patched(STATEFULSETS, "db", {"spec": {"replicas": 1}}), kubelets],
    ),
    Case(
        "an update down to a partition, then all",
        StatefulSetReconciler,
        [(STATEFULSETS, workload("db", replicas=2, serviceName="db", template=template(app="db")))],
        [
            "create controllerrevisions db-*",
            "create pods db-0",
            "update statefulsets/status db",
            "create pods db-1",
            "2 × update statefulsets/status db",
            "create controllerrevisions db-*",
            "delete pods db-1",
            "2 × update statefulsets/status db",
            "create pods db-1",
            "2 × update statefulsets/status db",
            "delete pods db-0",
            "2 × update statefulsets/status db",
            "create pods db-0",
            "2 × update statefulsets/status db",
        ],
        [
            kubelets,
            patched(
                STATEFULSETS,
                "db",
                {"spec": {**NEW_IMAGE["spec"], "updateStrategy": {"rollingUpdate": {"partition": 1}}}},
            ),
            kubelets,
            patched(STATEFULSETS, "db", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}),
            kubelets,
        ],
    ),
    Case(
        "in parallel, claims go with a smaller number",
        StatefulSetReconciler,
        [
            (
                STATEFULSETS,
                workload(
                    "db",
                    replicas=2,
                    serviceName="db",
                    podManagementPolicy="Parallel",
                    template=template(app="db"),
                    volumeClaimTemplates=[CLAIM],
                    persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete", "whenDeleted": "Retain"},
                ),
            )
        ],
        [
            "create controllerrevisions db-*",
            "create persistentvolumeclaims data-db-0",
            "create pods db-0",
            "create persistentvolumeclaims data-db-1",
            "create pods db-1",
            "3 × update statefulsets/status db",
            "patch persistentvolumeclaims data-db-1",
            "delete pods db-1",
            "2 × update statefulsets/status db",
        ],
        [kubelets, patched(STATEFULSETS, "db", {"spec": {"replicas": 1}}), kubelets],
    ),
    Case(
        "on every node, updated one by one",
        DaemonSetReconciler,
        [
            (NODES, node("n1")),
            (NODES, node("n2")),
            (DAEMONSETS, workload("agent", template=pod_template(app="agent"))),
        ],
        [
            "create controllerrevisions agent-*",
            "2 × create pods agent-*",
            "3 × update daemonsets/status agent",
            "create controllerrevisions agent-*",
            "delete pods agent-*",
            "update daemonsets/status agent",
            "create pods agent-*",
            "update daemonsets/status agent",
            "delete pods agent-*",
            "update daemonsets/status agent",
            "create pods agent-*",
            "2 × update daemonsets/status agent",
        ],
        [kubelets, patched(DAEMONSETS, "agent", NEW_IMAGE), kubelets],
    ),
    Case(
        "a new node gets its pod, a cordoned one keeps it, one that is gone loses it",
        DaemonSetReconciler,
        [
            (NODES, node("n1")),
            (DAEMONSETS, workload("agent", template=pod_template(app="agent"))),
        ],
        [
            "create controllerrevisions agent-*",
            "create pods agent-*",
            "2 × update daemonsets/status agent",
            "create pods agent-*",
            "2 × update daemonsets/status agent",
            "delete pods agent-*",
            "update daemonsets/status agent",
        ],
        [
            kubelets,
            patched(NODES, "n1", {"spec": {"unschedulable": True}}),
            user(lambda api: api.create(NODES, node("n2"))),
            kubelets,
            user(lambda api: api.delete(NODES, "n2")),
            kubelets,
        ],
    ),
)
