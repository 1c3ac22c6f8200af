"""What a node's agent may write into its own objects: no labels or taints that would draw other workloads to it.

Source: kubernetes plugin/pkg/admission/noderestriction. Which objects it may touch at all is `node_rights`.
"""

from __future__ import annotations

from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.objects import kinds
from orchestrator.objects.meta import Obj, labels_of

_RESTRICTED = "node-restriction.kubernetes.io"
_OPEN_LABELS = {
    "kubernetes.io/hostname", "kubernetes.io/arch", "kubernetes.io/os", "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os", "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
}  # fmt: skip
_OPEN_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")


def restrict_node(api: Api, call: Call, obj: Obj, old: Obj | None) -> None:
    """Raises: Forbidden."""
    node = call.user.node_name
    if not node:
        return
    name = obj["metadata"].get("name", "")
    if call.resource.storage_key == kinds.NODES.storage_key:
        if name != node:
            raise refusals.forbidden(call.resource, name, f'node "{node}" is not allowed to modify node "{name}"')
        changed = {
            label
            for label in {*labels_of(obj), *(labels_of(old) if old else {})}
            if labels_of(obj).get(label) != (labels_of(old) if old else {}).get(label)
        }
        if bad := sorted(filter(_is_restricted, changed)):
            raise refusals.forbidden(
                call.resource, name, f'node "{node}" is not allowed to modify labels: {", ".join(bad)}'
            )
        if old is not None and (old.get("spec") or {}).get("taints") != (obj.get("spec") or {}).get("taints"):
            raise refusals.forbidden(call.resource, name, f'node "{node}" is not allowed to modify taints')
    elif call.resource.storage_key == kinds.LEASES.storage_key and name != node:
        raise refusals.forbidden(call.resource, name, f'node "{node}" can only access the lease of its own name')


def _is_restricted(label: str) -> bool:
    prefix = label.rpartition("/")[0]
    if prefix == _RESTRICTED or prefix.endswith(f".{_RESTRICTED}"):
        return True
    if label in _OPEN_LABELS or any(prefix == p or prefix.endswith(f".{p}") for p in _OPEN_PREFIXES):
        return False
    return prefix in ("kubernetes.io", "k8s.io") or prefix.endswith((".kubernetes.io", ".k8s.io"))
