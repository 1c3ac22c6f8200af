"""The roles and bindings of a new cluster: Kubernetes' usual ones, and one for each of the platform's own identities.

Source: kubernetes plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go, for the kinds served here.
"""

from __future__ import annotations

from typing import Any

from orchestrator.objects.meta import Obj

_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_ALL = ["*"]
_RBAC = "rbac.authorization.k8s.io"

_WORKLOADS = [
    (["apps"], [
        "controllerrevisions", "daemonsets", "daemonsets/status", "deployments", "deployments/scale",
        "deployments/status", "replicasets", "replicasets/scale", "replicasets/status", "statefulsets",
        "statefulsets/scale", "statefulsets/status",
    ]),
    (["autoscaling"], ["horizontalpodautoscalers", "horizontalpodautoscalers/status"]),
    (["batch"], ["cronjobs", "cronjobs/status", "jobs", "jobs/status"]),
    (["networking.k8s.io"], ["ingresses", "ingresses/status", "networkpolicies"]),
    (["policy"], ["poddisruptionbudgets", "poddisruptionbudgets/status"]),
    (["discovery.k8s.io"], ["endpointslices"]),
]  # fmt: skip
_CORE_VIEW = [
    "configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods",
    "replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts", "services", "services/status",
    "bindings", "events", "limitranges", "namespaces", "namespaces/status", "pods/log", "pods/status",
    "replicationcontrollers/status", "resourcequotas", "resourcequotas/status",
]  # fmt: skip
_CORE_EDIT = [
    "pods", "configmaps", "events", "persistentvolumeclaims", "replicationcontrollers",
    "replicationcontrollers/scale", "secrets", "serviceaccounts", "services", "endpoints",
]  # fmt: skip


def _rule(groups: list[str], resources: list[str], verbs: list[str], names: list[str] | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"verbs": verbs, "apiGroups": groups, "resources": resources}
    if names:
        rule["resourceNames"] = names
    return rule


def _paths(paths: list[str]) -> dict[str, Any]:
    return {"verbs": ["get"], "nonResourceURLs": paths}


def _writable(resources: list[str]) -> list[str]:
    return [r for r in resources if not r.endswith("/status") and r != "controllerrevisions"]


_VIEW = [
    _rule([""], _CORE_VIEW, _READ),
    *(_rule(groups, resources, _READ) for groups, resources in _WORKLOADS),
    _rule(["metrics.k8s.io"], ["pods", "nodes"], _READ),
]
_EDIT = [
    _rule([""], ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"], _READ),
    _rule([""], ["serviceaccounts"], ["impersonate"]),
    _rule([""], ["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", *_CORE_EDIT], _WRITE),
    _rule([""], ["pods/eviction", "serviceaccounts/token"], ["create"]),
    *(_rule(groups, _writable(resources), _WRITE) for groups, resources in _WORKLOADS),
    _rule(["coordination.k8s.io"], ["leases"], [*_WRITE, *_READ]),
]
_ADMIN = [
    _rule([_RBAC], ["roles", "rolebindings"], [*_WRITE, *_READ]),
    _rule(["authorization.k8s.io"], ["localsubjectaccessreviews"], ["create"]),
]
_DISCOVERY_PATHS = [
    "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version",
    "/version/",
]  # fmt: skip
_PLATFORM = [
    _rule(["", "apps", "batch", "autoscaling", "networking.k8s.io", "policy", "discovery.k8s.io"], ["*"], _READ),
    _rule(["metrics.k8s.io", "storage.k8s.io", "scheduling.k8s.io", "events.k8s.io"], ["*"], _READ),
    _rule([""], [
        "namespaces", "pods", "pods/log", "pods/exec", "pods/attach", "pods/portforward", "pods/eviction",
        "services", "configmaps", "secrets", "endpoints", "events", "persistentvolumeclaims", "resourcequotas",
        "limitranges", "serviceaccounts", "replicationcontrollers", "replicationcontrollers/scale",
    ], _WRITE),
    *(_rule(groups, _writable(resources), _WRITE) for groups, resources in _WORKLOADS),
    _rule([""], ["pods/ephemeralcontainers", "pods/status"], ["patch", "update"]),
    _rule([""], ["persistentvolumes"], ["delete"]),
    _rule(["coordination.k8s.io"], ["leases"], [*_WRITE, *_READ]),
    _rule([_RBAC], ["roles", "rolebindings"], [*_WRITE, *_READ]),
    _rule(["authorization.k8s.io"], ["selfsubjectaccessreviews"], ["create"]),
]  # fmt: skip
_NETWORK = [
    _rule([""], ["services", "endpoints", "namespaces", "pods", "nodes"], _READ),
    _rule(["discovery.k8s.io"], ["endpointslices"], _READ),
    _rule(["networking.k8s.io"], ["networkpolicies"], _READ),
]
_ROUTER = [
    _rule([""], ["services", "secrets", "namespaces", "endpoints"], _READ),
    _rule(["discovery.k8s.io"], ["endpointslices"], _READ),
]

CLUSTER_ROLES: dict[str, list[dict[str, Any]]] = {
    "cluster-admin": [_rule(_ALL, _ALL, _ALL), {"verbs": _ALL, "nonResourceURLs": _ALL}],
    "admin": [],
    "edit": [],
    "view": [],
    "system:aggregate-to-admin": _ADMIN,
    "system:aggregate-to-edit": _EDIT,
    "system:aggregate-to-view": _VIEW,
    "system:discovery": [_paths(_DISCOVERY_PATHS)],
    "system:monitoring": [_paths(["/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/readyz", "/readyz/*"])],
    "system:public-info-viewer": [_paths(["/healthz", "/livez", "/readyz", "/version", "/version/"])],
    "system:basic-user": [
        _rule(["authorization.k8s.io"], ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], ["create"]),
        _rule(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"]),
    ],
    "system:service-account-issuer-discovery": [
        _paths(["/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks"])
    ],
    "system:auth-delegator": [
        _rule(["authentication.k8s.io"], ["tokenreviews"], ["create"]),
        _rule(["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
    ],
    "paas:controller": _PLATFORM,
    "paas:router": _ROUTER,
    "paas:network": _NETWORK,
}
_AGGREGATED = {"admin": ["admin", "edit", "view"], "edit": ["edit", "view"], "view": ["view"]}

CLUSTER_ROLE_BINDINGS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "cluster-admin": ("cluster-admin", [("Group", "system:masters")]),
    "system:discovery": ("system:discovery", [("Group", "system:authenticated")]),
    "system:monitoring": ("system:monitoring", [("Group", "system:monitoring")]),
    "system:basic-user": ("system:basic-user", [("Group", "system:authenticated")]),
    "system:public-info-viewer": (
        "system:public-info-viewer", [("Group", "system:authenticated"), ("Group", "system:unauthenticated")],
    ),
    "system:service-account-issuer-discovery": (
        "system:service-account-issuer-discovery", [("Group", "system:serviceaccounts")],
    ),
    "paas:controller": ("paas:controller", [("User", "paas:controller")]),
    "paas:router": ("paas:router", [("User", "paas:router")]),
    "paas:network": ("paas:network", [("Group", "paas:networks")]),
}  # fmt: skip


def cluster_role(name: str) -> Obj:
    role: Obj = {"metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}}
    if name.startswith("system:aggregate-to-"):
        target = name.removeprefix("system:aggregate-to-")
        role["metadata"]["labels"][f"{_RBAC}/aggregate-to-{target}"] = "true"
    if name in _AGGREGATED:
        selectors = [{"matchLabels": {f"{_RBAC}/aggregate-to-{source}": "true"}} for source in _AGGREGATED[name]]
        role["aggregationRule"] = {"clusterRoleSelectors": selectors}
    return role | {"rules": CLUSTER_ROLES[name]}


def cluster_role_binding(name: str) -> Obj:
    role, subjects = CLUSTER_ROLE_BINDINGS[name]
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": kind, "apiGroup": _RBAC, "name": subject} for kind, subject in subjects],
    }
