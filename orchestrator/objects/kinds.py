"""The kinds this server knows, one row each: the only place where a kind's name, group and scope are written.

Custom resources join at run time with `Kinds.register`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.objects.custom import CustomType


@dataclass(frozen=True, slots=True)
class Resource:
    """One served resource of one version, such as apps/v1 deployments."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
    storage: str = field(default="", compare=False)
    """Storage key prefix: versions of one kind that share it share their objects (autoscaling/v1 and v2)."""
    custom: CustomType | None = field(default=None, compare=False, repr=False)
    """What the definition of a custom resource says about it; None for built-in ones."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def group_resource(self) -> str:
        """As in error messages: `pods`, `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def storage_key(self) -> str:
        return self.storage or self.group_resource

    def __str__(self) -> str:
        return f"{self.api_version}/{self.plural}"


def _core(plural: str, kind: str, **options: object) -> Resource:
    return Resource("", "v1", plural, kind, **options)  # type: ignore[arg-type]


ALL = ("all",)

NAMESPACES = _core(
    "namespaces", "Namespace", namespaced=False, short_names=("ns",), subresources=("status", "finalize")
)
NODES = _core("nodes", "Node", namespaced=False, short_names=("no",), subresources=("status", "proxy"))
PODS = _core(
    "pods", "Pod", short_names=("po",), categories=ALL,
    subresources=(
        "status", "binding", "eviction", "log", "exec", "attach", "portforward", "ephemeralcontainers", "proxy",
    ),
)  # fmt: skip
SERVICES = _core("services", "Service", short_names=("svc",), categories=ALL, subresources=("status", "proxy"))
ENDPOINTS = _core("endpoints", "Endpoints", short_names=("ep",))
CONFIGMAPS = _core("configmaps", "ConfigMap", short_names=("cm",))
SECRETS = _core("secrets", "Secret")
SERVICEACCOUNTS = _core("serviceaccounts", "ServiceAccount", short_names=("sa",), subresources=("token",))
EVENTS = _core("events", "Event", short_names=("ev",), storage="events")
PERSISTENTVOLUMES = _core(
    "persistentvolumes", "PersistentVolume", namespaced=False, short_names=("pv",), subresources=("status",)
)
PERSISTENTVOLUMECLAIMS = _core(
    "persistentvolumeclaims", "PersistentVolumeClaim", short_names=("pvc",), subresources=("status",)
)
RESOURCEQUOTAS = _core("resourcequotas", "ResourceQuota", short_names=("quota",), subresources=("status",))
LIMITRANGES = _core("limitranges", "LimitRange", short_names=("limits",))
PODTEMPLATES = _core("podtemplates", "PodTemplate")
REPLICATIONCONTROLLERS = _core(
    "replicationcontrollers", "ReplicationController", short_names=("rc",), categories=ALL,
    subresources=("status", "scale"),
)  # fmt: skip
DEPLOYMENTS = Resource(
    "apps", "v1", "deployments", "Deployment", short_names=("deploy",), categories=ALL, subresources=("status", "scale")
)
REPLICASETS = Resource(
    "apps", "v1", "replicasets", "ReplicaSet", short_names=("rs",), categories=ALL, subresources=("status", "scale")
)
STATEFULSETS = Resource(
    "apps", "v1", "statefulsets", "StatefulSet", short_names=("sts",), categories=ALL, subresources=("status", "scale")
)
DAEMONSETS = Resource(
    "apps", "v1", "daemonsets", "DaemonSet", short_names=("ds",), categories=ALL, subresources=("status",)
)
CONTROLLERREVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
JOBS = Resource("batch", "v1", "jobs", "Job", categories=ALL, subresources=("status",))
CRONJOBS = Resource("batch", "v1", "cronjobs", "CronJob", short_names=("cj",), categories=ALL, subresources=("status",))
HPAS_V2 = Resource(
    "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", short_names=("hpa",), categories=ALL,
    subresources=("status",), storage="horizontalpodautoscalers.autoscaling",
)  # fmt: skip
HPAS_V1 = Resource(
    "autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", short_names=("hpa",), categories=ALL,
    subresources=("status",), storage="horizontalpodautoscalers.autoscaling",
)  # fmt: skip
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress", short_names=("ing",), subresources=("status",))
INGRESSCLASSES = Resource("networking.k8s.io", "v1", "ingressclasses", "IngressClass", namespaced=False)
NETWORKPOLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", short_names=("netpol",))
ENDPOINTSLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
PODDISRUPTIONBUDGETS = Resource(
    "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", short_names=("pdb",), subresources=("status",)
)
_RBAC = "rbac.authorization.k8s.io"
ROLES = Resource(_RBAC, "v1", "roles", "Role")
ROLEBINDINGS = Resource(_RBAC, "v1", "rolebindings", "RoleBinding")
CLUSTERROLES = Resource(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTERROLEBINDINGS = Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
PRIORITYCLASSES = Resource(
    "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", namespaced=False, short_names=("pc",)
)
STORAGECLASSES = Resource(
    "storage.k8s.io", "v1", "storageclasses", "StorageClass", namespaced=False, short_names=("sc",)
)
EVENTS_V1 = Resource("events.k8s.io", "v1", "events", "Event", short_names=("ev",), storage="events")
CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False,
    short_names=("crd", "crds"), categories=("api-extensions",), subresources=("status",),
)  # fmt: skip
_ADMISSION = "admissionregistration.k8s.io"
MUTATINGWEBHOOKS = Resource(
    _ADMISSION, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", namespaced=False,
    categories=("api-extensions",),
)  # fmt: skip
VALIDATINGWEBHOOKS = Resource(
    _ADMISSION, "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", namespaced=False,
    categories=("api-extensions",),
)  # fmt: skip
ADMISSIONPOLICIES = Resource(
    _ADMISSION, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False,
    categories=("api-extensions",), subresources=("status",),
)  # fmt: skip
ADMISSIONPOLICYBINDINGS = Resource(
    _ADMISSION, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False,
    categories=("api-extensions",),
)  # fmt: skip
TOKENREVIEWS = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False, verbs=("create",)
)
SELFSUBJECTREVIEWS = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False, verbs=("create",)
)
_AUTHZ = "authorization.k8s.io"
SUBJECTACCESSREVIEWS = Resource(
    _AUTHZ, "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False, verbs=("create",)
)
LOCALSUBJECTACCESSREVIEWS = Resource(
    _AUTHZ, "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", verbs=("create",)
)
SELFSUBJECTACCESSREVIEWS = Resource(
    _AUTHZ, "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False, verbs=("create",)
)
SELFSUBJECTRULESREVIEWS = Resource(
    _AUTHZ, "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", namespaced=False, verbs=("create",)
)
NODEMETRICS = Resource("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", namespaced=False, verbs=("get", "list"))
PODMETRICS = Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", verbs=("get", "list"))

BUILT_IN: tuple[Resource, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Resource))


class Kinds:
    """The resources a server serves now: the built-in ones and, while their definitions live, custom ones."""

    def __init__(self, resources: tuple[Resource, ...] = BUILT_IN) -> None:
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self.version = 0
        """Moves with every change: what is derived from all the kinds is then made anew."""
        for resource in resources:
            self.register(resource)

    def register(self, resource: Resource) -> None:
        self._by_path[resource.group, resource.version, resource.plural] = resource
        self._by_kind[resource.api_version, resource.kind] = resource
        self.version += 1

    def unregister(self, resource: Resource) -> None:
        self._by_path.pop((resource.group, resource.version, resource.plural), None)
        self._by_kind.pop((resource.api_version, resource.kind), None)
        self.version += 1

    def by_path(self, group: str, version: str, plural: str) -> Resource | None:
        return self._by_path.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        return self._by_kind.get((api_version, kind))

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._by_path.values()))
