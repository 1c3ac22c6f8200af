"""What pods refer to in the API: ConfigMaps, Secrets, claims, tokens, Services. Asked for once per few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from orchestrator.client import ApiClient
from orchestrator.errors import ApiError, NotFound
from orchestrator.kubelet.environment import service_environment
from orchestrator.kubelet.pod import pod_ref
from orchestrator.machinery.clock import parse_time
from orchestrator.objects.kinds import (
    CONFIGMAPS,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICES,
    Resource,
)
from orchestrator.objects.meta import Obj

FRESH_FOR = 5.0  # seconds an answer may be reused: pods of one app start together
KINDS = {"ConfigMap": CONFIGMAPS, "Secret": SECRETS}


class _Answer(NamedTuple):
    found: Any
    until: float


class Lookup:
    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._answers: dict[tuple[str, str, str], _Answer] = {}
        self._asking: dict[tuple[str, str, str], asyncio.Task[Any]] = {}
        self._tokens: dict[tuple[str, str, int], tuple[str, float]] = {}

    async def sources(
        self, namespace: str, wanted: Iterable[tuple[str, str]], *, fresh: bool = False
    ) -> dict[tuple[str, str], Obj | None]:
        """Each ConfigMap and Secret by (kind, name); None for one that doesn't exist."""
        keys = list(wanted)
        found = await asyncio.gather(*(self.get(KINDS[kind], name, namespace, fresh=fresh) for kind, name in keys))
        return dict(zip(keys, found, strict=True))

    async def get(self, resource: Resource, name: str, namespace: str = "", *, fresh: bool = False) -> Obj | None:
        return await self._shared((resource.plural, namespace, name), fresh, self._fetch(resource, name, namespace))

    async def services(self, namespace: str) -> dict[str, str]:
        """The environment of a namespace's Services, and of the API server's own."""
        found = await self._shared(("services", namespace, ""), False, self._fetch_services(namespace))
        variables: dict[str, str] = {}
        if namespace != "default":
            api = await self.get(SERVICES, "kubernetes", "default")
            variables |= service_environment([api] if api else [], "default")
        return variables | service_environment(found, namespace)

    async def claimed_volume(self, claim: str, namespace: str) -> Obj | None:
        """The PersistentVolume a claim is bound to; None while it isn't."""
        found = await self.get(PERSISTENTVOLUMECLAIMS, claim, namespace, fresh=True)
        name = ((found or {}).get("spec") or {}).get("volumeName")
        return await self.get(PERSISTENTVOLUMES, name) if name else None

    async def token(self, pod: Obj, audience: str, lifetime: int) -> str:
        """A token of the pod's service account, bound to the pod; renewed when a fifth of its life is left."""
        ref = pod_ref(pod)
        key, now = (ref.uid, audience, lifetime), time.time()
        known = self._tokens.get(key)
        if known is not None and now < known[1]:
            return known[0]
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [audience] if audience else [],
                "expirationSeconds": lifetime,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": ref.name, "uid": ref.uid},
            },
        }
        account = pod["spec"].get("serviceAccountName") or "default"
        answer = await self._client.create_subresource(SERVICEACCOUNTS, account, ref.namespace, "token", body)
        status = answer["status"]
        expires = parse_time(status["expirationTimestamp"]).timestamp()
        self._tokens[key] = (status["token"], now + (expires - now) * 0.8)
        return str(status["token"])

    def forget(self, pod_uid: str) -> None:
        for key in [key for key in self._tokens if key[0] == pod_uid]:
            del self._tokens[key]

    async def _shared(self, key: tuple[str, str, str], fresh: bool, question: Any) -> Any:
        """The answer of the last seconds, or of a question already being asked, or a new one."""
        now = time.monotonic()
        known = self._answers.get(key)
        if known is not None and known.until > now and not fresh:
            question.close()
            return known.found
        task = self._asking.get(key)
        if task is None:
            task = asyncio.create_task(question, name=f"look up {key[0]}")
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        else:
            question.close()
        found = await asyncio.shield(task)
        if found is not None:  # what isn't there yet may be there any moment
            self._answers[key] = _Answer(found, now + FRESH_FOR)
        if len(self._answers) > 256:
            self._answers = {k: answer for k, answer in self._answers.items() if answer.until > now}
        return found

    async def _fetch(self, resource: Resource, name: str, namespace: str) -> Obj | None:
        try:
            return await self._client.get(resource, name, namespace)
        except NotFound:
            return None

    async def _fetch_services(self, namespace: str) -> list[Obj]:
        try:
            return (await self._client.list(SERVICES, namespace)).items
        except ApiError as exc:
            if exc.code in (403, 404):
                return []
            raise
