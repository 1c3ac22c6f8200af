"""Questions asked as objects: who am I, may I, may they, whose token is this. Answered and forgotten."""

from __future__ import annotations

from typing import Any

from orchestrator import errors
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.authentication import Authenticator
from orchestrator.apiserver.authorization import Attributes, Authorizer
from orchestrator.apiserver.call import Call, User
from orchestrator.apiserver.tokens import authenticate_token
from orchestrator.objects.meta import Obj


class Reviews:
    def __init__(self, api: Api, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self.api, self.authenticator, self.authorizer = api, authenticator, authorizer

    def answer(self, call: Call, body: Obj) -> Obj:
        """The review with its status. Raises: Invalid."""
        spec = body.get("spec") or {}
        match call.resource.kind:
            case "SelfSubjectReview":
                status: Obj = {"userInfo": user_info(call.user)}
            case "TokenReview":
                status = self._token(spec)
            case "SelfSubjectAccessReview":
                status = self._access(call.user, spec)
            case "SelfSubjectRulesReview":
                status = self._rules(call.user, spec.get("namespace") or "default")
            case _:
                status = self._access(_subject(spec), spec, call.namespace)
        meta = {**(body.get("metadata") or {}), "creationTimestamp": None}
        head = {"kind": call.resource.kind, "apiVersion": call.resource.api_version, "metadata": meta}
        return {**head, **({"spec": spec} if "spec" in body else {}), "status": status}

    def _token(self, spec: Obj) -> Obj:
        token, audiences = spec.get("token") or "", spec.get("audiences") or [self.api.settings.issuer]
        if not token:
            return {"user": {}, "error": "no token was sent"}
        if token.count(".") == 2:
            if found := authenticate_token(self.api, token, audiences):
                user, good_for = found
                return {"authenticated": True, "user": user_info(user), "audiences": good_for}
        elif known := self.authenticator.by_token(token):
            return {"authenticated": True, "user": user_info(known), "audiences": audiences}
        return {"user": {}, "error": "the token is unknown, expired, or belongs to something that was deleted"}

    def _access(self, user: User, spec: Obj, namespace: str = "") -> Obj:
        resource, path = spec.get("resourceAttributes") or {}, spec.get("nonResourceAttributes")
        if bool(resource) == bool(path):
            raise errors.Invalid(
                "spec: Invalid value: exactly one of nonResourceAttributes or resourceAttributes must be specified"
            )
        if path:
            asked = Attributes(user, path.get("verb", ""), path=path.get("path", ""))
        else:
            asked = Attributes(
                user, resource.get("verb", ""), resource.get("group", ""), resource.get("resource", ""),
                resource.get("subresource", ""), namespace or resource.get("namespace", ""), resource.get("name", ""),
            )  # fmt: skip
        if namespace and resource and resource.get("namespace", namespace) != namespace:
            raise errors.BadRequest(
                f'spec.resourceAttributes.namespace: "{resource["namespace"]}" must match the namespace: {namespace}'
            )
        allowed, why = self.authorizer.allows(asked)
        return {"allowed": allowed, **({"reason": why} if why else {})}

    def _rules(self, user: User, namespace: str) -> Obj:
        resources: list[dict[str, Any]] = []
        paths: list[dict[str, Any]] = []
        grants = [g.rules for g in self.authorizer.grants(user) if g.namespace in ("", namespace)]
        if "system:masters" in user.groups:
            grants.append(
                [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]}]
            )
        for rules in grants:
            for rule in rules:
                if rule.get("nonResourceURLs"):
                    paths.append({"verbs": rule.get("verbs"), "nonResourceURLs": rule["nonResourceURLs"]})
                else:
                    kept = ("verbs", "apiGroups", "resources", "resourceNames")
                    resources.append({key: rule[key] for key in kept if rule.get(key)})
        return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}


def user_info(user: User) -> Obj:
    info: Obj = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = user.extra
    return info


def _subject(spec: Obj) -> User:
    name, groups = spec.get("user") or "", tuple(spec.get("groups") or ())
    if not name and not groups:
        raise errors.Invalid('spec.user: Invalid value: "": at least one of user or group must be specified')
    return User(name, groups, spec.get("uid") or "", spec.get("extra") or {})
