"""What Kubernetes fills in when a writer leaves it out.

`apply_defaults` changes its object in place: give it the decoded request, never a shared object. Running it twice
changes nothing the second time. Source: the defaults.go of each API group in kubernetes pkg/apis.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.objects import custom
from orchestrator.objects.defaults import admission, cluster, network, pods, workloads
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj


def apply_defaults(resource: Resource, obj: Obj) -> None:
    if resource.custom is not None:
        custom.apply_defaults(resource.custom, obj)
    elif setter := _SETTERS.get((resource.group, resource.kind)):
        setter(obj)


_SETTERS: dict[tuple[str, str], Callable[[Obj], None]] = {
    ("", "Pod"): pods.default_pod,
    ("", "PodTemplate"): pods.default_template,
    ("", "ReplicationController"): workloads.default_replication_controller,
    ("apps", "Deployment"): workloads.default_deployment,
    ("apps", "ReplicaSet"): workloads.default_replica_set,
    ("apps", "StatefulSet"): workloads.default_stateful_set,
    ("apps", "DaemonSet"): workloads.default_daemon_set,
    ("batch", "Job"): workloads.default_job,
    ("batch", "CronJob"): workloads.default_cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): workloads.default_autoscaler,
    ("", "Service"): network.default_service,
    ("", "Endpoints"): network.default_endpoints,
    ("discovery.k8s.io", "EndpointSlice"): network.default_endpoint_slice,
    ("networking.k8s.io", "NetworkPolicy"): network.default_network_policy,
    ("networking.k8s.io", "IngressClass"): network.default_ingress_class,
    ("", "Namespace"): cluster.default_namespace,
    ("", "Node"): cluster.default_node,
    ("", "Secret"): cluster.default_secret,
    ("", "LimitRange"): cluster.default_limit_range,
    ("", "PersistentVolume"): cluster.default_volume,
    ("", "PersistentVolumeClaim"): cluster.default_claim,
    ("storage.k8s.io", "StorageClass"): cluster.default_storage_class,
    ("scheduling.k8s.io", "PriorityClass"): cluster.default_priority_class,
    ("rbac.authorization.k8s.io", "RoleBinding"): cluster.default_role_binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): cluster.default_role_binding,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): cluster.default_definition,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): admission.default_mutating,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): admission.default_webhooks,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): admission.default_policy,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): admission.default_binding,
}
