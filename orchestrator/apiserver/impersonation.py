"""Acting as somebody else (`kubectl --as`), with the right to `impersonate` each part of who that is.

Source: kubernetes staging/src/k8s.io/apiserver/pkg/endpoints/filters/impersonation.go.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote

from orchestrator import errors
from orchestrator.apiserver.authorization import Attributes
from orchestrator.apiserver.call import User
from orchestrator.apiserver.exchange import Exchange

_EXTRA = "impersonate-extra-"
_GROUP = "authentication.k8s.io"
_ACCOUNT = "system:serviceaccount:"


def impersonated(exchange: Exchange, authorize: Callable[[Attributes], None]) -> User:
    """Who the request is to be taken for: its own user when it doesn't ask for another.

    Raises: ApiError for a request that names groups, a uid or extras without a user; what `authorize` raises.
    """
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in exchange.scope["headers"]]
    user, uid = exchange.header(b"impersonate-user"), exchange.header(b"impersonate-uid")
    groups = [value for name, value in headers if name == "impersonate-group"]
    extra: dict[str, list[str]] = {}
    for name, value in headers:
        if name.startswith(_EXTRA):
            extra.setdefault(unquote(name[len(_EXTRA) :]), []).append(value)
    if not user:
        if groups or uid or extra:
            raise errors.ApiError("Internal error occurred: impersonation was requested without impersonating a user")
        return exchange.user
    asked = [_identity(user), *(("", "groups", "", "", group) for group in groups)]
    asked += [(_GROUP, "uids", "", "", uid)] if uid else []
    asked += [(_GROUP, "userextras", key, "", value) for key, values in extra.items() for value in values]
    for group, resource, subresource, namespace, name in asked:
        authorize(Attributes(exchange.user, "impersonate", group, resource, subresource, namespace, name))
    if user.startswith(_ACCOUNT) and not groups:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{_account(user)[0]}"]
    known = "system:unauthenticated" if user == "system:anonymous" else "system:authenticated"
    return User(user, tuple(dict.fromkeys([*groups, known])), uid, extra)


def _identity(user: str) -> tuple[str, str, str, str, str]:
    """(group, resource, subresource, namespace, name) of what somebody must be allowed to impersonate."""
    if user.startswith(_ACCOUNT):
        return ("", "serviceaccounts", "", *_account(user))
    return ("", "users", "", "", user)


def _account(user: str) -> tuple[str, str]:
    namespace, _, name = user.removeprefix(_ACCOUNT).partition(":")
    return namespace, name
