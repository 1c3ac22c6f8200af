"""How every part of the orchestrator talks to the API: one Protocol, two transports.

`apiserver.local.LocalClient` calls the server's own handlers in its process (reconcilers, scheduler); `http_client.
HttpClient` speaks HTTPS (node agents). Both pass `tests/contracts/test_api_client.py`. Errors are `errors.ApiError`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal, NamedTuple, Protocol

from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj

PatchType = Literal["json", "merge", "strategic", "apply"]
Propagation = Literal["Background", "Foreground", "Orphan"]


class WatchEvent(NamedTuple):
    """`type` is ADDED, MODIFIED, DELETED or BOOKMARK; `object` is shared and must not be changed."""

    type: str
    object: Obj


class ObjectList(NamedTuple):
    items: list[Obj]
    resource_version: str


class ApiClient(Protocol):
    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        """Raises: NotFound."""

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        """Every match at one revision; namespace "" means all."""

    def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Events after `resource_version`, in order; ends when the connection does. Raises: Expired."""

    async def create(self, resource: Resource, obj: Obj, namespace: str = "") -> Obj:
        """Raises: AlreadyExists, Invalid."""

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        """Replace; Conflict when metadata.resourceVersion is set and stale. Raises: NotFound, Conflict, Invalid."""

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        patch: Any,
        patch_type: PatchType = "merge",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> Obj:
        """Raises: NotFound, Conflict, Invalid."""

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        grace_period: int | None = None,
        propagation: Propagation | None = None,
    ) -> None:
        """Raises: NotFound, Conflict (another uid)."""

    async def create_subresource(
        self, resource: Resource, name: str, namespace: str, subresource: str, body: Obj
    ) -> Obj:
        """POST to `pods/x/binding`, `pods/x/eviction`, `serviceaccounts/x/token`."""
