"""What every verb works with: the store, the kinds, the clock."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from orchestrator.apiserver.call import Call
from orchestrator.apiserver.signer import Signer
from orchestrator.apiserver.webhooks.client import WebhookClient
from orchestrator.objects.conversions import STORED
from orchestrator.objects.kinds import Kinds, Resource
from orchestrator.objects.times import timestamp
from orchestrator.settings import ServerSettings
from orchestrator.store.record import Record
from orchestrator.store.store import Store

if TYPE_CHECKING:
    from orchestrator.apiserver.webhooks.hooks import Hooks
    from orchestrator.apiserver.webhooks.registry import Plan


class Computed(Protocol):
    """Makes the objects of a kind on demand."""

    async def records(self, resource: Resource) -> Sequence[Record]: ...


class Api:
    """The server's core; the verbs are functions over it, one module each."""

    def __init__(
        self,
        store: Store,
        settings: ServerSettings,
        signer: Signer,
        node_tls: ssl.SSLContext,
        authority: str,
        kinds: Kinds | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store, self.settings, self.signer = store, settings, signer
        self.node_tls = node_tls
        self.authority = authority
        """The cluster's CA certificate, PEM: what pods trust this server by."""
        self.draining = False
        self.kinds = kinds or Kinds()
        self.now = now
        self.computed: dict[str, Computed] = {}
        """Storage key → where records come from, for kinds whose objects are not stored."""
        self.stored_versions: dict[str, Resource] = dict(STORED)
        """Storage key → the version objects are stored in, for kinds that are served in several."""
        self.webhooks = WebhookClient(self)
        self.hooks: Hooks | None = None
        """Who is asked about writes; nobody while the server makes what it needs to start."""

    def concerned(self, call: Call, operation: str) -> Plan | None:
        """The webhooks to be asked about a write (CREATE, UPDATE, DELETE, CONNECT); None when there are none."""
        return None if self.hooks is None else self.hooks.concerned(call, operation)

    def stored_version(self, resource: Resource) -> Resource:
        """The row under which the resource's objects are stored: itself for most."""
        return self.stored_versions.get(resource.storage_key, resource)

    def timestamp(self, offset: float = 0) -> str:
        return timestamp(self.now() + offset)
