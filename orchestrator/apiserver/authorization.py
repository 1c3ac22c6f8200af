"""May this user do this? `system:masters` may all; nodes what their pods need; everyone else what RBAC grants.

Roles and bindings are read from the store's memory and compiled once per user, until one of them changes.
Source: kubernetes plugin/pkg/auth/authorizer/rbac/rbac.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call, User
from orchestrator.apiserver.node_rights import node_may
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key, Obj

MASTERS = "system:masters"
_KINDS = (kinds.ROLES, kinds.ROLEBINDINGS, kinds.CLUSTERROLES, kinds.CLUSTERROLEBINDINGS)
_RBAC_GROUP = "rbac.authorization.k8s.io"
_CACHED_USERS = 1024


@dataclass(frozen=True, slots=True)
class Attributes:
    """One question; `path` for requests outside of resources, everything else for those inside."""

    user: User
    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    node: str = ""
    """The node that a list or watch of pods is limited to by its field selector."""

    @classmethod
    def of(cls, call: Call) -> Attributes:
        resource = call.resource
        namespace = call.namespace
        if resource.storage_key == "namespaces" and call.name:
            namespace = call.name  # as Kubernetes does: a role of the namespace may cover the namespace itself
        return cls(call.user, call.verb, resource.group, resource.plural, call.subresource, namespace, call.name)

    def refusal(self) -> str:
        """Kubernetes' sentence for "no"."""
        if self.path:
            return f'User "{self.user.name}" cannot {self.verb} path "{self.path}"'
        resource = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        text = f'User "{self.user.name}" cannot {self.verb} resource "{resource}" in API group "{self.group}"'
        return text + (f' in the namespace "{self.namespace}"' if self.namespace else " at the cluster scope")


@dataclass(frozen=True, slots=True)
class Grant:
    """Rules that a user holds; in every namespace when `namespace` is empty."""

    namespace: str
    rules: Sequence[Mapping[str, Any]]
    source: str


class Authorizer:
    def __init__(self, api: Api) -> None:
        self.api = api
        self._grants: dict[tuple[str, tuple[str, ...]], list[Grant]] = {}
        self._revision: tuple[int, ...] = ()

    def allows(self, attributes: Attributes) -> tuple[bool, str]:
        """The decision, and what it rests on."""
        user = attributes.user
        if MASTERS in user.groups:
            return True, ""
        if user.node_name and attributes.resource and node_may(self.api, attributes):
            return True, ""
        for grant in self.grants(user):
            if grant.namespace and grant.namespace != attributes.namespace:
                continue
            if any(rule_allows(rule, attributes) for rule in grant.rules):
                return True, f"RBAC: allowed by {grant.source}"
        return False, ""

    def grants(self, user: User) -> list[Grant]:
        revision = tuple(self.api.store.changed(resource.storage_key) for resource in _KINDS)
        if revision != self._revision:
            self._grants.clear()
            self._revision = revision
        key = (user.name, user.groups)
        found = self._grants.get(key)
        if found is None:
            if len(self._grants) >= _CACHED_USERS:
                self._grants.clear()
            found = self._grants[key] = list(self._find_grants(user))
        return found

    def _find_grants(self, user: User) -> Iterator[Grant]:
        store = self.api.store
        for record in store.list(kinds.CLUSTERROLEBINDINGS.storage_key):
            if subject := _subject_of(record.obj, user, ""):
                role = record.obj["roleRef"]["name"]
                source = f'ClusterRoleBinding "{record.key.name}" of ClusterRole "{role}" to {subject}'
                yield Grant("", self._rules(record.obj["roleRef"], ""), source)
        for record in store.list(kinds.ROLEBINDINGS.storage_key):
            namespace = record.key.namespace
            if subject := _subject_of(record.obj, user, namespace):
                reference = record.obj["roleRef"]
                source = f'RoleBinding "{record.key.name}/{namespace}" of {reference["kind"]} "{reference["name"]}"'
                yield Grant(namespace, self._rules(reference, namespace), f"{source} to {subject}")

    def _rules(self, reference: Obj, namespace: str) -> Sequence[Mapping[str, Any]]:
        resource = kinds.CLUSTERROLES if reference["kind"] == "ClusterRole" else kinds.ROLES
        key = Key("" if resource is kinds.CLUSTERROLES else namespace, reference["name"])
        record = self.api.store.get(resource.storage_key, key)
        return (record.obj.get("rules") or ()) if record else ()


def _subject_of(binding: Obj, user: User, namespace: str) -> str:
    """How the binding names the user, "" when it does not."""
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name", "")
        if kind == "User" and name == user.name:
            return f'User "{name}"'
        if kind == "Group" and name in user.groups:
            return f'Group "{name}"'
        if kind == "ServiceAccount":
            owner = subject.get("namespace") or namespace
            if user.name == f"system:serviceaccount:{owner}:{name}":
                return f'ServiceAccount "{name}/{owner}"'
    return ""


def rule_allows(rule: Mapping[str, Any], asked: Attributes) -> bool:
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and asked.verb not in verbs:
        return False
    if asked.path:
        return any(_path_matches(pattern, asked.path) for pattern in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if "*" not in groups and asked.group not in groups:
        return False
    if not _resource_matches(rule.get("resources") or (), asked):
        return False
    names = rule.get("resourceNames") or ()
    return not names or asked.name in names


def _resource_matches(patterns: Sequence[str], asked: Attributes) -> bool:
    wanted = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    return any(
        pattern in ("*", wanted) or (bool(asked.subresource) and pattern == f"*/{asked.subresource}")
        for pattern in patterns
    )


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))
