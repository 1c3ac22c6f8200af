"""Whether an object may be stored: Kubernetes' own rules and sentences, every bad field named in one error.

Source: kubernetes pkg/apis/*/validation. Objects must have been decoded and defaulted before.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.objects import strategy
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation import (
    cluster,
    custom,
    definitions,
    metadata,
    network,
    pods,
    policies,
    quotas,
    volumes,
    webhooks,
    workloads,
)
from orchestrator.objects.validation.fields import Problems

Create = Callable[[Problems, Obj], None]
Update = Callable[[Problems, Obj, Obj], None]


def validate_create(resource: Resource, obj: Obj) -> None:
    """Raises: Invalid, naming every bad field."""
    problems = Problems()
    metadata.check_create(problems, resource, obj)
    if resource.custom is not None:
        custom.check_custom(problems, resource.custom, obj)
    elif check := _CREATE.get((resource.group, resource.kind)):
        check(problems, obj)
    problems.raise_for(resource, obj)


def validate_update(resource: Resource, new: Obj, old: Obj, subresource: str = "") -> None:
    """Raises: Invalid, naming every bad or immutable field.

    What only changes metadata is not judged again: an object that newer rules would refuse can still lose a finalizer.
    """
    problems = Problems()
    metadata.check_update(problems, resource, new, old)
    key = (resource.group, resource.kind)
    if resource.custom is not None:
        custom.check_custom_update(problems, resource.custom, new, old)
    elif subresource == "ephemeralcontainers":
        pods.check_ephemeral_update(problems, new, old)
    elif not subresource and strategy.spec_changed(resource, new, old):
        if key in _CREATE and key not in _UPDATE_ALONE:
            _CREATE[key](problems, new)
        if key in _UPDATE:
            _UPDATE[key](problems, new, old)
    problems.raise_for(resource, new)


_CREATE: dict[tuple[str, str], Create] = {
    ("", "Pod"): pods.check_pod,
    ("", "PodTemplate"): lambda problems, obj: pods.check_template(problems, obj.get("template"), "template"),
    ("", "ReplicationController"): workloads.check_replication_controller,
    ("apps", "Deployment"): workloads.check_deployment,
    ("apps", "ReplicaSet"): workloads.check_replica_set,
    ("apps", "StatefulSet"): workloads.check_stateful_set,
    ("apps", "DaemonSet"): workloads.check_daemon_set,
    ("apps", "ControllerRevision"): cluster.check_controller_revision,
    ("batch", "Job"): workloads.check_job,
    ("batch", "CronJob"): workloads.check_cron_job,
    ("autoscaling", "HorizontalPodAutoscaler"): workloads.check_autoscaler,
    ("policy", "PodDisruptionBudget"): workloads.check_disruption_budget,
    ("", "Service"): network.check_service,
    ("", "Endpoints"): network.check_endpoints,
    ("discovery.k8s.io", "EndpointSlice"): network.check_endpoint_slice,
    ("networking.k8s.io", "Ingress"): network.check_ingress,
    ("networking.k8s.io", "IngressClass"): network.check_ingress_class,
    ("networking.k8s.io", "NetworkPolicy"): network.check_network_policy,
    ("", "Node"): cluster.check_node,
    ("", "ConfigMap"): cluster.check_config_map,
    ("", "Secret"): cluster.check_secret,
    ("", "Event"): cluster.check_event,
    ("events.k8s.io", "Event"): cluster.check_event,
    ("", "ResourceQuota"): quotas.check_quota,
    ("", "LimitRange"): cluster.check_limit_range,
    ("", "PersistentVolume"): volumes.check_volume,
    ("", "PersistentVolumeClaim"): volumes.check_claim,
    ("storage.k8s.io", "StorageClass"): cluster.check_storage_class,
    ("scheduling.k8s.io", "PriorityClass"): cluster.check_priority_class,
    ("coordination.k8s.io", "Lease"): cluster.check_lease,
    ("rbac.authorization.k8s.io", "Role"): cluster.check_role,
    ("rbac.authorization.k8s.io", "ClusterRole"): cluster.check_role,
    ("rbac.authorization.k8s.io", "RoleBinding"): cluster.check_role_binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): cluster.check_role_binding,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): definitions.check_definition,
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"): webhooks.check_webhooks,
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"): webhooks.check_webhooks,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): policies.check_policy,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): policies.check_binding,
}
_UPDATE: dict[tuple[str, str], Update] = {
    ("", "Pod"): pods.check_pod_update,
    ("apps", "Deployment"): workloads.check_selector_update,
    ("apps", "ReplicaSet"): workloads.check_selector_update,
    ("apps", "DaemonSet"): workloads.check_selector_update,
    ("apps", "StatefulSet"): workloads.check_stateful_set_update,
    ("apps", "ControllerRevision"): cluster.check_controller_revision_update,
    ("batch", "Job"): workloads.check_job_update,
    ("", "Service"): network.check_service_update,
    ("discovery.k8s.io", "EndpointSlice"): network.check_endpoint_slice_update,
    ("networking.k8s.io", "IngressClass"): network.check_ingress_class_update,
    ("", "Namespace"): cluster.check_namespace_update,
    ("", "Node"): cluster.check_node_update,
    ("", "ConfigMap"): cluster.check_config_map_update,
    ("", "Secret"): cluster.check_secret_update,
    ("", "ResourceQuota"): quotas.check_quota_update,
    ("", "PersistentVolume"): volumes.check_volume_update,
    ("", "PersistentVolumeClaim"): volumes.check_claim_update,
    ("storage.k8s.io", "StorageClass"): cluster.check_storage_class_update,
    ("scheduling.k8s.io", "PriorityClass"): cluster.check_priority_class_update,
    ("rbac.authorization.k8s.io", "RoleBinding"): cluster.check_role_binding_update,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): cluster.check_role_binding_update,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): definitions.check_definition_update,
}
_UPDATE_ALONE = frozenset((("", "Pod"), ("", "Node")))
"""Their update rules say all there is to say; most pod updates change no spec and need no second look at it."""
