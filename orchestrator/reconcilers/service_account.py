"""What every namespace gets: the ServiceAccount `default`, and the cluster's certificate authority to trust.

Source: kubernetes pkg/controller/serviceaccount and pkg/controller/certificates/rootcacertpublisher.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

from orchestrator.errors import AlreadyExists, Forbidden, NotFound
from orchestrator.machinery.reconciler import Reconciler
from orchestrator.objects.kinds import CONFIGMAPS, NAMESPACES, SERVICEACCOUNTS
from orchestrator.objects.meta import Key, Obj, annotations_of, is_deleting, key_of

log = logging.getLogger(__name__)

DEFAULT = "default"
ROOT_CA = "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def render_root_ca(namespace: str, certificate: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": ROOT_CA,
            "namespace": namespace,
            "annotations": {"kubernetes.io/description": _DESCRIPTION},
        },
        "data": {"ca.crt": certificate},
    }


class ServiceAccountReconciler(Reconciler):
    name = "service-account"
    workers = 2

    def setup(self) -> None:
        self._certificate: str | None = None
        self.namespaces = self.follow(NAMESPACES)
        self.accounts = self.follow(SERVICEACCOUNTS, lambda obj: _namespace_if(obj, DEFAULT))
        self.configmaps = self.follow(CONFIGMAPS, lambda obj: _namespace_if(obj, ROOT_CA))

    async def reconcile(self, key: Key) -> None:
        namespace = self.namespaces.get(key)
        if namespace is None or is_deleting(namespace):
            return
        try:
            await self._ensure_account(key.name)
            await self._ensure_root_ca(key.name)
        except (Forbidden, NotFound) as error:  # the namespace began to terminate meanwhile
            log.debug("namespace %s: %s", key.name, error.message)

    async def _ensure_account(self, namespace: str) -> None:
        if self.accounts.get(Key(namespace, DEFAULT)) is None:
            account = {"apiVersion": "v1", "kind": "ServiceAccount"}
            await self._create(SERVICEACCOUNTS, {**account, "metadata": {"name": DEFAULT, "namespace": namespace}})

    async def _ensure_root_ca(self, namespace: str) -> None:
        certificate = await self._root_certificate()
        if not certificate:
            return
        wanted = render_root_ca(namespace, certificate)
        present = self.configmaps.get(Key(namespace, ROOT_CA))
        if present is None:
            await self._create(CONFIGMAPS, wanted)
        elif present.get("data") != wanted["data"] or not annotations_of(present):
            meta = {**present["metadata"], "annotations": wanted["metadata"]["annotations"]}
            await self.api.update(CONFIGMAPS, {**wanted, "metadata": meta})

    async def _create(self, resource: Any, obj: Obj) -> None:
        try:
            await self.api.create(resource, obj, obj["metadata"]["namespace"])
        except AlreadyExists:
            return

    async def _root_certificate(self) -> str:
        """Read once from where the server keeps it; a control plane without a server has none."""
        if self._certificate is None:
            data = getattr(self.world.settings, "data", None)
            self._certificate = await asyncio.to_thread(_read, Path(data) / "pki" / "ca.crt") if data else ""
        return self._certificate


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _namespace_if(obj: Obj, name: str) -> list[Key]:
    key = key_of(obj)
    return [Key("", key.namespace)] if key.name == name else []
