"""What pods refer to in the API: ConfigMaps, Secrets, claims, tokens, Services. Asked for once per few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable
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

FRESH_FOR = 5.0  # seconds an answer may be reused, by a pod that was there before the question: many start together
KINDS = {"ConfigMap": CONFIGMAPS, "Secret": SECRETS}


class _Answer(NamedTuple):
    found: Any
    asked: float


class _Question(NamedTuple):
    task: asyncio.Task[Any]
    asked: float


class Lookup:
    """`since` (monotonic) in its questions: only an answer asked for after that moment will do. A pod that was created
    after a ConfigMap was changed must see the change.
    """

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._answers: dict[tuple[str, str, str], _Answer] = {}
        self._asking: dict[tuple[str, str, str], _Question] = {}
        self._tokens: dict[tuple[str, str, int], tuple[str, float]] = {}

    async def sources(
        self, namespace: str, wanted: Iterable[tuple[str, str]], *, since: float
    ) -> dict[tuple[str, str], Obj | None]:
        """Each ConfigMap and Secret by (kind, name); None for one that doesn't exist."""
        keys = list(wanted)
        found = await asyncio.gather(*(self.get(KINDS[kind], name, namespace, since=since) for kind, name in keys))
        return dict(zip(keys, found, strict=True))

    async def get(self, resource: Resource, name: str, namespace: str = "", *, since: float) -> Obj | None:
        found: Obj | None = await self._shared(
            (resource.plural, namespace, name), since, self._fetch(resource, name, namespace)
        )
        return found

    async def services(self, namespace: str, *, since: float, links: bool = True) -> dict[str, str]:
        """The environment of a namespace's Services, unless no `links` are wanted, and always of the API server's own.

        Source: kubernetes pkg/kubelet/kubelet_pods.go, getServiceEnvVarMap.
        """
        variables: dict[str, str] = {}
        if namespace != "default" or not links:
            api = await self.get(SERVICES, "kubernetes", "default", since=0)
            variables |= service_environment([api] if api else [], "default")
        if links:
            found = await self._shared(("services", namespace, ""), since, self._fetch_services(namespace))
            variables |= service_environment(found, namespace)
        return variables

    async def claimed_volume(self, claim: str, namespace: str) -> Obj | None:
        """The PersistentVolume a claim is bound to; None while it isn't."""
        now = time.monotonic()
        found = await self.get(PERSISTENTVOLUMECLAIMS, claim, namespace, since=now)
        name = ((found or {}).get("spec") or {}).get("volumeName")
        return await self.get(PERSISTENTVOLUMES, name, since=now) if name else None

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

    async def _shared(self, key: tuple[str, str, str], since: float, question: Coroutine[Any, Any, Any]) -> Any:
        """An answer asked for after `since`: of the last seconds, of a question already being asked, or a new one."""
        now = time.monotonic()
        known, asking = self._answers.get(key), self._asking.get(key)
        if known is not None and known.asked >= max(since, now - FRESH_FOR):
            question.close()
            return known.found
        if asking is None or asking.asked < since:
            asking = _Question(asyncio.create_task(question, name=f"look up {key[0]}"), now)
            self._asking[key] = asking
            asking.task.add_done_callback(lambda task: self._asked(key, task))
        else:
            question.close()
        found = await asyncio.shield(asking.task)
        if found is not None:  # what isn't there yet may be there any moment
            self._answers[key] = _Answer(found, asking.asked)
        if len(self._answers) > 256:
            self._answers = {k: answer for k, answer in self._answers.items() if answer.asked > now - FRESH_FOR}
        return found

    def _asked(self, key: tuple[str, str, str], task: asyncio.Task[Any]) -> None:
        if (asking := self._asking.get(key)) is not None and asking.task is task:
            del self._asking[key]

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
