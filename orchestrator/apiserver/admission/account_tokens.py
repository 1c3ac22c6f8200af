"""Secrets of type `kubernetes.io/service-account-token`: a token for as long as the Secret lives.

Kubernetes fills them from a controller; here they are complete when their creation is answered.
"""

from __future__ import annotations

import base64

from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key, Obj

TYPE = "kubernetes.io/service-account-token"
_NAME, _UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


def fill_token(api: Api, call: Call, obj: Obj, old: Obj | None) -> None:
    """Raises: Forbidden when there is no such account, whose token it could be."""
    if obj.get("type") != TYPE:
        return
    meta, data = obj["metadata"], obj.setdefault("data", {})
    annotations = meta.setdefault("annotations", {})
    name = annotations.get(_NAME) or ""
    account = api.store.latest(kinds.SERVICEACCOUNTS.storage_key, Key(call.namespace, name))
    if account is None or annotations.get(_UID, account.obj["metadata"]["uid"]) != account.obj["metadata"]["uid"]:
        if old is None and name:
            why = f'its annotation {_NAME} names no service account of the namespace: "{name}"; create that first'
            raise refusals.forbidden(call.resource, meta.get("name", ""), why)
        return
    uid = annotations[_UID] = account.obj["metadata"]["uid"]
    values = {"ca.crt": api.authority, "namespace": call.namespace}
    if "token" not in data:
        values["token"] = api.signer.sign(_claims(api, call, meta, name, uid))
    for key, value in values.items():
        data.setdefault(key, base64.b64encode(value.encode()).decode())


def _claims(api: Api, call: Call, meta: Obj, account: str, uid: str) -> Obj:
    now = int(api.now())
    return {
        "iss": api.settings.issuer, "aud": [api.settings.issuer], "iat": now, "nbf": now,
        "sub": f"system:serviceaccount:{call.namespace}:{account}",
        "kubernetes.io": {
            "namespace": call.namespace,
            "serviceaccount": {"name": account, "uid": uid},
            "secret": {"name": meta["name"], "uid": meta["uid"]},
        },
    }  # fmt: skip
