"""ServiceAccount tokens: JWTs signed with the cluster's key (RS256), bound to a pod or secret when asked.

A token is good while its account (same uid) exists, its pod or secret (same uid) exists, and its time has not run out.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from typing import Any

from orchestrator import errors
from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call, User
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key, Obj
from orchestrator.objects.times import timestamp

_MIN_SECONDS, _DEFAULT_SECONDS, _MAX_SECONDS = 600, 3600, 365 * 24 * 3600
_BOUND_KINDS = {"Pod": kinds.PODS, "Secret": kinds.SECRETS, "Node": kinds.NODES}


def request_token(api: Api, call: Call, body: Obj) -> Obj:
    """Answer a TokenRequest. Raises: NotFound, Invalid, Conflict."""
    account = api.store.latest(kinds.SERVICEACCOUNTS.storage_key, call.key)
    if account is None:
        raise refusals.not_found(kinds.SERVICEACCOUNTS, call.name)
    spec = body.get("spec") or {}
    seconds = spec.get("expirationSeconds", _DEFAULT_SECONDS)
    if not isinstance(seconds, int) or seconds < _MIN_SECONDS:
        message = "Invalid value: may not specify a duration less than 10 minutes"
        cause = {"field": "spec.expirationSeconds", "reason": "FieldValueInvalid", "message": message}
        raise refusals.invalid(call.resource, call.name, [cause])
    seconds = min(seconds, _MAX_SECONDS)
    now = int(api.now())
    private: dict[str, Any] = {
        "namespace": call.namespace,
        "serviceaccount": {"name": call.name, "uid": account.obj["metadata"]["uid"]},
    }
    if bound := spec.get("boundObjectRef"):
        private |= _bound_claims(api, call, bound)
    audiences = spec.get("audiences") or [api.settings.issuer]
    claims = {
        "aud": audiences, "exp": now + seconds, "iat": now, "nbf": now, "iss": api.settings.issuer,
        "jti": str(uuid.uuid4()), "kubernetes.io": private,
        "sub": f"system:serviceaccount:{call.namespace}:{call.name}",
    }  # fmt: skip
    status = {"token": api.signer.sign(claims), "expirationTimestamp": timestamp(now + seconds)}
    spec = {**spec, "audiences": audiences, "expirationSeconds": seconds}
    meta = {"name": call.name, "namespace": call.namespace, "creationTimestamp": timestamp(now)}
    return {
        "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": meta, "spec": spec,
        "status": status,
    }  # fmt: skip


def _bound_claims(api: Api, call: Call, bound: Obj) -> dict[str, Any]:
    kind, name = bound.get("kind", ""), bound.get("name", "")
    resource = _BOUND_KINDS.get(kind)
    if resource is None:
        raise errors.BadRequest(f'cannot bind token for serviceaccount "{call.name}" to object of kind "{kind}"')
    record = api.store.latest(resource.storage_key, Key(call.namespace if resource.namespaced else "", name))
    if record is None:
        raise refusals.not_found(resource, name)
    if bound.get("uid") and bound["uid"] != record.obj["metadata"]["uid"]:
        raise refusals.conflict(
            resource, name, f"the UID in the bound object reference ({bound['uid']}) does not match the UID in record"
        )
    claims = {kind.lower(): {"name": name, "uid": record.obj["metadata"]["uid"]}}
    node_name = (record.obj.get("spec") or {}).get("nodeName") if kind == "Pod" else None
    if node_name and (node := api.store.latest(kinds.NODES.storage_key, Key("", node_name))):
        claims["node"] = {"name": node_name, "uid": node.obj["metadata"]["uid"]}
    return claims


def authenticate_token(api: Api, token: str, audiences: list[str] | None = None) -> tuple[User, list[str]] | None:
    """The account a token speaks for and the audiences it is good for; None when it is not good any more."""
    claims = api.signer.verify(token)
    if claims is None or claims.get("iss") != api.settings.issuer:
        return None
    now = api.now()
    private = claims.get("kubernetes.io") or {}
    end = claims.get("exp", math.inf if private.get("secret") else 0)  # a Secret's own token lives as long as that
    if not (claims.get("nbf", 0) <= now < end):
        return None
    good_for = [a for a in claims.get("aud") or () if a in (audiences or [api.settings.issuer])]
    namespace, account = private.get("namespace", ""), private.get("serviceaccount") or {}
    if not good_for or not _exists(api, kinds.SERVICEACCOUNTS, namespace, account):
        return None
    extra = {"authentication.kubernetes.io/credential-id": [f"JTI={claims.get('jti', '')}"]}
    for kind in ("pod", "secret", "node"):
        if bound := private.get(kind):
            resource = _BOUND_KINDS[kind.capitalize()]
            if kind != "node" and not _exists(api, resource, namespace, bound):
                return None
            if kind != "secret":
                extra[f"authentication.kubernetes.io/{kind}-name"] = [bound["name"]]
                extra[f"authentication.kubernetes.io/{kind}-uid"] = [bound["uid"]]
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return User(claims["sub"], groups, account.get("uid", ""), extra), good_for


def _exists(api: Api, resource: kinds.Resource, namespace: str, named: Mapping[str, str]) -> bool:
    key = Key(namespace if resource.namespaced else "", named.get("name", ""))
    record = api.store.latest(resource.storage_key, key)
    return record is not None and record.obj["metadata"]["uid"] == named.get("uid")
