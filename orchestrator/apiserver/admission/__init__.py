"""What the cluster as a whole adds to a write or refuses, after the object itself is in order.

Each step is a function `(api, call, obj, old)` that changes `obj` in place or raises; `old` is None on creation. They
only look at the store's memory, so that nothing can happen between the decision and the write.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.apiserver.admission import claims, namespaces, pods, services
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.objects.meta import Obj

Step = Callable[[Api, Call, Obj, Obj | None], None]

_BY_KIND: dict[str, tuple[Step, ...]] = {
    "pods": (pods.set_service_account, pods.set_priority, pods.tolerate_short_outages),
    "services": (services.allocate,),
    "persistentvolumeclaims": (claims.set_storage_class,),
}


def admit_create(api: Api, call: Call, obj: Obj) -> None:
    namespaces.require_live_namespace(api, call, obj, None)
    for step in _BY_KIND.get(call.resource.storage_key, ()):
        step(api, call, obj, None)


def admit_update(api: Api, call: Call, obj: Obj, old: Obj) -> None:
    if not call.subresource and call.resource.storage_key == "services":
        services.allocate(api, call, obj, old)


def admit_delete(api: Api, call: Call, old: Obj) -> None:
    namespaces.protect_system_namespaces(api, call, old)
