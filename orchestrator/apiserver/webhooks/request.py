"""One write as webhooks and policies see it: an AdmissionRequest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.apiserver.api import Api
from orchestrator.apiserver.authorization import Attributes, Authorizer
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.webhooks.questions import Asker
from orchestrator.objects import kinds
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj

_KINDS = {
    "scale": ("autoscaling", "v1", "Scale"),
    "binding": ("", "v1", "Binding"),
    "eviction": ("policy", "v1", "Eviction"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
    "exec": ("", "v1", "PodExecOptions"),
    "attach": ("", "v1", "PodAttachOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
}
"""Subresource → the kind of what is sent to it, where that is not the resource's own."""
_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


@dataclass(slots=True)
class Request:
    """`obj` is what shall be, `old` what is, both as stored; None where there is no such thing.

    `resource` is the version that the client asked for.
    """

    call: Call
    operation: str
    resource: Resource
    obj: Obj | None = None
    old: Obj | None = None
    name: str = ""
    details: Obj | None = None
    """What the options say beside those every verb has."""

    @property
    def subresource(self) -> str:
        return self.call.subresource

    @property
    def namespace(self) -> str:
        """A Namespace counts as being in itself."""
        if self.resource == kinds.NAMESPACES:
            return self.name
        return self.call.namespace

    def authorizer(self, api: Api) -> Asker:
        """`authorizer` in expressions."""
        own = Attributes(
            self.call.user, "", self.resource.group, self.resource.plural, self.subresource, self.namespace, self.name
        )
        return Asker(Authorizer(api), own)

    @property
    def has_own_kind(self) -> bool:
        """Whether objects are of the resource's kind, and so have its versions."""
        return self.subresource != "proxy" and self.subresource not in _KINDS

    def kind_in(self, resource: Resource) -> tuple[str, str, str]:
        """(group, version, kind) of the objects, where the resource is spoken of in this version."""
        if self.subresource == "proxy":
            return ("", "v1", f"{resource.kind}ProxyOptions")
        return _KINDS.get(self.subresource) or (resource.group, resource.version, resource.kind)

    def describe(self, resource: Resource) -> dict[str, Any]:
        """The request without its objects; `resource` is the version in which somebody wants to see them."""
        call, asked = self.call, self.resource
        user: dict[str, Any] = {"username": call.user.name}
        for field, value in (
            ("uid", call.user.uid), ("groups", list(call.user.groups)), ("extra", call.user.extra),
        ):  # fmt: skip
            if value:
                user[field] = value
        described: dict[str, Any] = {
            "kind": _kind(self.kind_in(resource)),
            "resource": {"group": resource.group, "version": resource.version, "resource": resource.plural},
            "subResource": self.subresource,
            "requestKind": _kind(self.kind_in(asked)),
            "requestResource": {"group": asked.group, "version": asked.version, "resource": asked.plural},
            "requestSubResource": self.subresource,
            "name": self.name,
            "namespace": self.namespace,
        }
        described = {key: value for key, value in described.items() if value}
        return described | {
            "operation": self.operation, "userInfo": user, "dryRun": call.dry_run, "options": self._options(),
        }  # fmt: skip

    def _options(self) -> Obj | None:
        kind = _OPTIONS.get(self.operation)
        if kind is None:
            return None
        options: Obj = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
        if self.call.dry_run:
            options["dryRun"] = ["All"]
        if self.operation != "DELETE":
            options["fieldManager"] = self.call.field_manager
            if self.call.field_validation == "Strict":
                options["fieldValidation"] = "Strict"
        return options | (self.details or {})


def _kind(parts: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(("group", "version", "kind"), parts, strict=True))
