"""Nobody grants rights they do not hold: roles may only say, and bindings only give, what their writer may do already.

The verbs `escalate` on roles and `bind` on the role referred to lift this, as in Kubernetes.
Source: kubernetes pkg/registry/rbac/*/policybased/storage.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.authorization import MASTERS, Attributes, Authorizer
from orchestrator.apiserver.call import Call
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key, Obj

Rule = Mapping[str, Any]
_GROUP = "rbac.authorization.k8s.io"


def refuse_escalation(api: Api, call: Call, obj: Obj, old: Obj | None) -> None:
    """Raises: Forbidden, listing the rights that the writer lacks."""
    if MASTERS in call.user.groups:
        return
    authorizer = Authorizer(api)
    if call.resource.kind in ("Role", "ClusterRole"):
        rules: Sequence[Rule] = obj.get("rules") or ()
        if old is not None and (old.get("rules") or ()) == rules:
            return
        free = Attributes(call.user, "escalate", _GROUP, call.resource.plural, "", call.namespace, call.name)
    else:
        reference = obj["roleRef"]
        rules = _rules_of(api, reference, call.namespace)
        plural = "clusterroles" if reference["kind"] == "ClusterRole" else "roles"
        free = Attributes(call.user, "bind", _GROUP, plural, "", call.namespace, reference["name"])
    if authorizer.allows(free)[0]:
        return
    held = [rule for g in authorizer.grants(call.user) if g.namespace in ("", call.namespace) for rule in g.rules]
    missing = [rule for rule in _single(rules) if not any(_covers(own, rule) for own in held)]
    if missing:
        listed = "\n".join(_shown(rule) for rule in missing)
        raise refusals.forbidden(
            call.resource,
            obj["metadata"].get("name", ""),
            f'user "{call.user.name}" (groups={list(call.user.groups)}) is attempting to grant RBAC permissions not '
            f"currently held:\n{listed}",
        )


def _rules_of(api: Api, reference: Obj, namespace: str) -> Sequence[Rule]:
    cluster = reference["kind"] == "ClusterRole"
    resource = kinds.CLUSTERROLES if cluster else kinds.ROLES
    record = api.store.latest(resource.storage_key, Key("" if cluster else namespace, reference["name"]))
    if record is None:
        raise refusals.not_found(resource, reference["name"])
    return record.obj.get("rules") or ()


def _single(rules: Sequence[Rule]) -> Iterator[Rule]:
    """The rules taken apart into one verb on one resource, or on one path, each."""
    for rule in rules:
        for verb in rule.get("verbs") or ():
            for path in rule.get("nonResourceURLs") or ():
                yield {"verbs": [verb], "nonResourceURLs": [path]}
            for group in rule.get("apiGroups") or ():
                for resource in rule.get("resources") or ():
                    for name in rule.get("resourceNames") or (None,):
                        single = {"verbs": [verb], "apiGroups": [group], "resources": [resource]}
                        yield {**single, "resourceNames": [name]} if name else single


def _covers(own: Rule, asked: Rule) -> bool:
    verb = asked["verbs"][0]
    if not {"*", verb} & set(own.get("verbs") or ()):
        return False
    if paths := asked.get("nonResourceURLs"):
        return any(
            held in ("*", paths[0]) or (held.endswith("*") and paths[0].startswith(held[:-1]))
            for held in own.get("nonResourceURLs") or ()
        )
    if not {"*", asked["apiGroups"][0]} & set(own.get("apiGroups") or ()):
        return False
    resource = asked["resources"][0]
    wider = {"*", resource} | ({f"*/{resource.partition('/')[2]}"} if "/" in resource else set())
    if not wider & set(own.get("resources") or ()):
        return False
    names = own.get("resourceNames") or ()
    return not names or (asked.get("resourceNames") or [None])[0] in names


def _shown(rule: Rule) -> str:
    parts = (f"{key[0].upper()}{key[1:]}:{list(value)}" for key, value in rule.items() if key != "verbs")
    return f"{{{', '.join(parts)}, Verbs:{list(rule['verbs'])}}}"
