"""`authorizer` in expressions: what the user of a request, or a service account, may do.

Source: apiserver pkg/cel/library/authz.go.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from orchestrator.apiserver.authorization import Attributes, Authorizer
from orchestrator.apiserver.call import User
from orchestrator.objects.cel.functions import CelError


@dataclass(frozen=True, slots=True)
class Decision:
    is_allowed: bool
    why: str

    def allowed(self) -> bool:
        return self.is_allowed

    def reason(self) -> str:
        return self.why

    def errored(self) -> bool:
        return False

    def error(self) -> str:
        return ""


class Asker(dict[str, "Question"]):
    """`authorizer` itself: where questions begin; `authorizer.requestResource` is one about the request."""

    def __init__(self, authorizer: Authorizer, own: Attributes) -> None:
        super().__init__(requestResource=Question(authorizer, own))
        self._first = Question(authorizer, Attributes(own.user, ""))

    def path(self, path: str) -> Question:
        return self._first.path(path)

    def group(self, group: str) -> Question:
        return self._first.group(group)

    def serviceAccount(self, namespace: str, name: str) -> Asker:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        user = User(f"system:serviceaccount:{namespace}:{name}", groups)
        own = self["requestResource"]
        return Asker(own.authorizer, dataclasses.replace(own.about, user=user))


@dataclass(frozen=True, slots=True)
class Question:
    """A question being put together: each method adds to it, `check` asks."""

    authorizer: Authorizer
    about: Attributes

    def _with(self, **fields: str) -> Question:
        if not all(isinstance(value, str) for value in fields.values()):
            raise CelError(f"no such overload: {next(iter(fields))}")
        return Question(self.authorizer, dataclasses.replace(self.about, **fields))  # type: ignore[arg-type]

    def path(self, path: str) -> Question:
        return self._with(path=path)

    def group(self, group: str) -> Question:
        return self._with(group=group)

    def resource(self, resource: str) -> Question:
        return self._with(resource=resource)

    def subresource(self, subresource: str) -> Question:
        return self._with(subresource=subresource)

    def namespace(self, namespace: str) -> Question:
        return self._with(namespace=namespace)

    def name(self, name: str) -> Question:
        return self._with(name=name)

    def check(self, verb: str) -> Decision:
        return Decision(*self.authorizer.allows(dataclasses.replace(self.about, verb=verb)))
