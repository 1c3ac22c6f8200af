"""The objects every cluster has from its first start: namespaces, roles, priorities, the way to this server."""

from __future__ import annotations

import asyncio

from orchestrator.apiserver import create, default_roles, update
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.objects import kinds
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Key, Obj, clone

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_PRIORITIES = {
    "system-cluster-critical": (2_000_000_000, "Used for system critical pods that must run in the cluster, but can be "
                                "moved to another node if necessary."),
    "system-node-critical": (2_000_001_000, "Used for system critical pods that must not be moved from their current "
                             "node."),
}  # fmt: skip
_MANAGER = "kube-apiserver"


async def ensure_objects(api: Api) -> None:
    """Make what is missing, and bring back what the platform's own identities need; leave the rest as it is."""
    await asyncio.gather(*(_ensure(api, kinds.NAMESPACES, {"metadata": {"name": name}}) for name in NAMESPACES))
    roles, bindings = default_roles.CLUSTER_ROLES, default_roles.CLUSTER_ROLE_BINDINGS
    wanted = [(kinds.CLUSTERROLES, default_roles.cluster_role(name)) for name in roles]
    wanted += [(kinds.CLUSTERROLEBINDINGS, default_roles.cluster_role_binding(name)) for name in bindings]
    for name, (value, description) in _PRIORITIES.items():
        wanted.append((kinds.PRIORITYCLASSES, {"metadata": {"name": name}, "value": value, "description": description}))
    ensured = (_ensure(api, kind, obj, restore=obj["metadata"]["name"].startswith("paas:")) for kind, obj in wanted)
    await asyncio.gather(*ensured)
    await _ensure(api, kinds.SERVICES, _kubernetes_service(api))
    await _publish_endpoints(api)


async def _ensure(api: Api, resource: Resource, obj: Obj, *, restore: bool = False) -> None:
    meta = obj["metadata"]
    key = Key(meta.get("namespace", ""), meta["name"])
    old = api.store.latest(resource.storage_key, key)
    if old is None:
        call = Call("create", resource, key.namespace, key.name, field_manager=_MANAGER)
        await create.create(api, call, clone(obj))
    elif restore:
        call = Call("update", resource, key.namespace, key.name, field_manager=_MANAGER)
        await update.write(
            api, call, old, {**clone(old.obj), **clone({k: v for k, v in obj.items() if k != "metadata"})}
        )


def _kubernetes_service(api: Api) -> Obj:
    labels = {"component": "apiserver", "provider": "kubernetes"}
    port = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": api.settings.port}
    return {
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {"type": "ClusterIP", "clusterIP": api.settings.first_service_ip, "ports": [port]},
    }


async def _publish_endpoints(api: Api) -> None:
    """Where the `kubernetes` service leads: this server, under the address it was told to advertise."""
    address, port = api.settings.address, api.settings.port
    meta = {"name": "kubernetes", "namespace": "default"}
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    skip = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    endpoints: Obj = {"metadata": {**meta, "labels": skip}}
    endpoints["subsets"] = [{"addresses": [{"ip": address}], "ports": ports}]
    slice_: Obj = {
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv6" if ":" in address else "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": ports,
    }
    if address.startswith("127."):
        return  # Kubernetes refuses loopback endpoints: pods could not reach them anyway
    await _ensure(api, kinds.ENDPOINTS, endpoints, restore=True)
    await _ensure(api, kinds.ENDPOINTSLICES, slice_, restore=True)
