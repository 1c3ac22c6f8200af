"""What every verb works with: the store, the kinds, the clock."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable

from orchestrator.apiserver.clock import rfc3339
from orchestrator.apiserver.signer import Signer
from orchestrator.objects.kinds import Kinds
from orchestrator.settings import ServerSettings
from orchestrator.store.store import Store


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

    def timestamp(self, offset: float = 0) -> str:
        return rfc3339(self.now() + offset)
