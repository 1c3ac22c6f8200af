"""Pods for builds in one namespace of a cluster, and everything around them."""

from __future__ import annotations

import asyncio
import logging
import secrets as random
import socket
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from builder import fence
from builder.egress import Network, parse_networks
from builder.errors import BuildFailed, ClusterError
from builder.host_config import CA_IN_CONTAINER, HostConfig
from builder.jobs import spec
from builder.jobs.api import MERGE, KubeApi
from builder.jobs.pod import Pod
from builder.jobs.spec import Task
from builder.progress import Progress
from builder.registry_api import RegistryClient
from builder.settings import BuildLimits, Cluster, Settings

log = logging.getLogger("builder.jobs")
T = TypeVar("T", bound=Task)


class Pods:
    def __init__(self, registry: RegistryClient, host: HostConfig, cluster: Cluster, settings: Settings) -> None:
        self._registry, self._host, self._cluster, self._settings = registry, host, cluster, settings
        self.api = KubeApi(cluster.kubeconfig)
        self._pending: set[asyncio.Task[Any]] = set()  # goes on though nobody waits for it

    async def prepare(self) -> None:
        """The namespace with what all builds need, as it has to be now. Raises: ClusterError, RegistryError."""
        name, instance = self._cluster.namespace, self._settings.instance
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        try:
            await self.api.call("GET", f"/api/v1/namespaces/{name}")
        except ClusterError as exc:
            if exc.status != 404:
                raise
            await self.api.apply(f"/api/v1/namespaces/{name}", namespace)
        policy = spec.network_policy(name, instance, await self._denied(), await self._open_to())
        path = f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies/{spec.POLICY}"
        await self.api.apply(path, policy)
        await self.api.apply(f"/api/v1/namespaces/{name}/secrets/{spec.PULL_SECRET}", await self._pull_secret())

    async def _pull_secret(self) -> spec.Obj:
        """Good for a build that begins now, and renewed by the next. Raises: RegistryError."""
        known, seconds = self._settings, spec.longest(self._settings.limits)
        login = await self._registry.node_login(known.registry, known.stack_repository, known.builder_key, seconds)
        return spec.pull_secret(self._cluster.namespace, known.instance, login)

    async def clean(self) -> None:
        """Jobs of a builder that was here before go, with all that is theirs."""
        marks = ",".join(f"{key}={value}" for key, value in spec.labels(self._settings.instance).items())
        for job in (await self.api.call("GET", self._jobs(), labelSelector=marks)).get("items") or ():
            await self._remove(job["metadata"]["name"])

    @asynccontextmanager
    async def started(
        self,
        task: T,
        secrets: Mapping[str, Mapping[str, bytes]],
        progress: Progress,
        template: Callable[[T, BuildLimits, Mapping[str, Collection[str]]], spec.Obj] = spec.pod,
    ) -> AsyncIterator[Pod]:
        """A running pod of `task` that waits for its tree; gone afterwards with everything that is the build's."""
        api, namespace, instance = self.api, self._cluster.namespace, self._settings.instance
        await self.prepare()
        given = {**secrets, "host": await asyncio.to_thread(self._host_files)}
        limits = self._settings.limits
        job = spec.job(task, instance, namespace, limits, given, template(task, limits, given))
        pod = Pod(api, namespace, f"paas.io/build={task.name}")
        following = asyncio.create_task(pod.follow())
        try:
            with progress.phase("container"):
                made = await api.call("POST", self._jobs(), job)
                for kind, values in given.items():
                    secret = spec.secret(task.name, kind, namespace, instance, values, made)
                    await api.call("POST", f"/api/v1/namespaces/{namespace}/secrets", secret)
                await api.call("PATCH", self._jobs(task.name), {"spec": {"suspend": False}}, MERGE)
                await pod.started(spec.STARTING, self._settings.limits, progress)
            yield pod
        finally:
            following.cancel()
            removing = asyncio.create_task(self._removed(task.name))
            self.keep(removing)
            await asyncio.shield(removing)

    async def _removed(self, name: str) -> None:
        try:
            await self._remove(name)
        except ClusterError as exc:
            log.warning("build %s stays until its time is up: %s", name, exc)

    async def _remove(self, name: str) -> None:
        """Its pod and Secrets go first, which takes no longer than `spec.GRACE`."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        await self.api.delete(self._jobs(name), options)

    def _jobs(self, name: str = "") -> str:
        return f"/apis/batch/v1/namespaces/{self._cluster.namespace}/jobs" + (f"/{name}" if name else "")

    def _host_files(self) -> dict[str, bytes]:
        """What package managers read of the operator's, as a Secret's keys."""
        files = {name: text.encode() for name, text in self._host.files.items()}
        for source, target in self._host.binds:
            if target == CA_IN_CONTAINER:
                files[spec.CA_KEY] = Path(source).read_bytes()
        return files

    async def _denied(self) -> list[Network]:
        """What the operator named, and where the API server and the controller are."""
        found = list(self._settings.denied)
        for name in (self.api.host, urlsplit(self._settings.controller_url).hostname or ""):
            found += parse_networks(",".join(str(address) for address in await addresses(name)))
        return found

    async def _open_to(self) -> list[fence.Hole]:
        """Package indexes that the operator configured, and the registry, wherever they are."""
        host, _, port = self._settings.registry.host.partition(":")
        registry = [(address, int(port or 443)) for address in await addresses(host)]
        indexes = [(address, number) for address, number in await fence.exceptions(self._host) if number != 53]
        return [*registry, *indexes]

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Have `close` wait for a task that nobody else waits for."""
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def close(self) -> None:
        while self._pending:
            await asyncio.wait(self._pending)
        await self.api.close()


def name_of(app: str) -> str:
    """A Job's name; with what Kubernetes adds to it, at most 63 characters."""
    return f"build-{app[:30].rstrip('-')}-{random.token_hex(4)}"


async def addresses(name: str) -> list[Any]:
    """Where `name` is, but not on this machine itself: in a pod that would be the pod."""
    try:
        answers = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    found = {ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers}
    return sorted((address for address in found if not address.is_loopback), key=str)


def config_files(config: Mapping[str, str]) -> dict[str, bytes]:
    """The app's config as a Secret's keys. Raises: BuildFailed when it is larger than Kubernetes takes."""
    files = {key: value.encode() for key, value in config.items() if spec.KEY.fullmatch(key)}
    if sum(map(len, files.values())) > spec.MOST_SECRET:
        raise BuildFailed(
            "The app's config is larger than the 1 MiB that Kubernetes takes: keep large values elsewhere."
        )
    return files
