"""From a URL to what it asks for."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator import errors
from orchestrator.objects.kinds import Kinds, Resource

_NAMESPACE_SUBRESOURCES = ("status", "finalize")
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True, slots=True)
class Route:
    """A resource request; `rest` is what follows the subresource (`proxy/…`)."""

    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""


def parse(kinds: Kinds, method: str, path: str, *, watching: bool) -> Route | None:
    """None for paths outside of /api/v1/… and /apis/GROUP/VERSION/…. Raises: NotFound, MethodNotAllowed."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2 and parts[1] == "v1":
        group, version, parts = "", "v1", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return None
    if parts[0] == "watch" and len(parts) > 1:
        parts, watching = parts[1:], True
    namespace = ""
    is_namespace_itself = group == "" and (len(parts) < 3 or parts[2] in _NAMESPACE_SUBRESOURCES)
    if parts[0] == "namespaces" and len(parts) > 1 and not is_namespace_itself:
        namespace, parts = parts[1], parts[2:]
    resource = kinds.by_path(group, version, parts[0])
    if resource is None or (namespace and not resource.namespaced) or not all(parts[:2]):
        raise unknown_path()
    name, subresource = (*parts[1:3], "", "")[:2]
    if resource.namespaced and name and not namespace:
        raise unknown_path()
    if subresource and subresource not in resource.subresources:
        raise unknown_path()
    if subresource == "proxy" and method == "OPTIONS":
        method = "GET"  # as far as rights go
    verb = _verb(method, bool(name), watching and not subresource)
    misplaced = (verb in ("update", "patch") and not name) or (verb == "create" and name and not subresource)
    if misplaced or (not subresource and verb not in resource.verbs):
        raise errors.MethodNotAllowed("the server does not allow this method on the requested resource")
    return Route(verb, resource, namespace, name, subresource, "/".join(parts[3:]))


def unknown_path() -> errors.NotFound:
    return errors.NotFound("the server could not find the requested resource")


def _verb(method: str, named: bool, watching: bool) -> str:
    match method:
        case "GET" | "HEAD":
            if watching:
                return "watch"
            return "get" if named else "list"
        case "DELETE":
            return "delete" if named else "deletecollection"
        case "POST" | "PUT" | "PATCH":
            return _VERBS[method]
    raise errors.MethodNotAllowed(f"the server does not know the method {method}")
