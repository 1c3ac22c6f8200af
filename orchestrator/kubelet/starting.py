"""Starting one container: its image, its environment, its mounts, the engine's create and start."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import ApiError, OrchestratorError
from orchestrator.kubelet.environment import ConfigError, expand, referred_sources, render_environment
from orchestrator.kubelet.images import credentials_for, is_reference, must_pull
from orchestrator.kubelet.mounts import render_mounts
from orchestrator.kubelet.pod import Start, backoff_after, pod_ref
from orchestrator.kubelet.pod_files import kernel_hostname_of
from orchestrator.kubelet.resources import oom_score_adj, render_resources
from orchestrator.kubelet.runtime import (
    ContainerSpec,
    Image,
    ImageMissing,
    Mount,
    PullFailed,
    RuntimeFailure,
    RuntimeUnavailable,
    Sandbox,
)
from orchestrator.kubelet.security import render_security
from orchestrator.kubelet.services import NodeServices
from orchestrator.objects.meta import Obj

CONFIG_RETRY = 2.0  # seconds until a missing ConfigMap or Secret is looked for again
PULL_ERROR_SHOWN = 2.0  # seconds a failed pull is told as such, before it is told as resting
NAME_RETRY = 60.0  # seconds; only a new name mends a name


class NotYet(OrchestratorError):
    """The container can't start now; `reason` and the message are its waiting state, `retry_after` in seconds."""

    def __init__(self, reason: str, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.reason, self.retry_after = reason, retry_after


class ImageFetcher:
    """Sees to it that a pod's images are on the node, resting longer after each failure."""

    def __init__(self, services: NodeServices, *, since: float) -> None:
        self._services, self._since = services, since
        self._rests: dict[str, tuple[float, float, str]] = {}  # image → rest, until, what went wrong

    async def fetch(self, pod: Obj, container: Mapping[str, Any]) -> Image:
        """Raises: NotYet."""
        reference = container["image"]
        policy = container.get("imagePullPolicy") or "IfNotPresent"
        runtime, recorder = self._services.runtime, self._services.recorder
        loop = asyncio.get_running_loop()
        if not is_reference(reference):
            why = f'image name "{reference}" can not be parsed: invalid reference format'
            recorder.warning(pod, "InspectFailed", why)
            raise NotYet("InvalidImageName", why, NAME_RETRY)
        try:
            present: Image | None = await runtime.image(reference)
        except ImageMissing:
            present = None
        if not must_pull(policy, reference, present=present is not None):
            if present is None:
                why = f'Container image "{reference}" is not present with pull policy of Never'
                raise NotYet("ErrImageNeverPull", why, CONFIG_RETRY)
            recorder.normal(pod, "Pulled", f'Container image "{reference}" already present on machine')
            return present
        rest, until, problem = self._rests.get(reference, (0.0, 0.0, ""))
        if loop.time() < until:
            message = f'Back-off pulling image "{reference}": ErrImagePull: {problem}'
            recorder.normal(pod, "BackOff", f'Back-off pulling image "{reference}"')
            recorder.warning(pod, "Failed", "Error: ImagePullBackOff")
            raise NotYet("ImagePullBackOff", message, until - loop.time())
        recorder.normal(pod, "Pulling", f'Pulling image "{reference}"')
        begun = loop.time()
        try:
            image = await runtime.pull(reference, await self._credentials(pod, reference))
        except PullFailed as exc:
            rest = backoff_after(rest, 0)
            self._rests[reference] = (rest, loop.time() + rest, str(exc))
            recorder.warning(pod, "Failed", f'Failed to pull image "{reference}": {exc}')
            recorder.warning(pod, "Failed", "Error: ErrImagePull")
            raise NotYet("ErrImagePull", str(exc), PULL_ERROR_SHOWN) from exc
        self._rests.pop(reference, None)
        took = loop.time() - begun
        size = f" Image size: {image.size} bytes." if image.size else ""
        recorder.normal(pod, "Pulled", f'Successfully pulled image "{reference}" in {took:.3f}s.{size}')
        return image

    async def _credentials(self, pod: Obj, reference: str) -> dict[str, str] | None:
        names = [entry["name"] for entry in pod["spec"].get("imagePullSecrets") or () if entry.get("name")]
        wanted = [("Secret", name) for name in names]
        try:
            found = await self._services.lookup.sources(pod["metadata"]["namespace"], wanted, since=self._since)
        except ApiError as exc:
            raise NotYet("ErrImagePull", f"can't read the pull secrets: {exc.message}", CONFIG_RETRY) from exc
        return credentials_for(reference, [secret for secret in found.values() if secret is not None])


async def prepare_container(
    services: NodeServices, pod: Obj, container: Mapping[str, Any], start: Start, image: Image, *,
    sandbox: Sandbox, volumes: Mapping[str, Path], since: float,
) -> ContainerSpec:  # fmt: skip
    """All that the engine has to be told. Raises: NotYet."""
    try:
        return await _prepare(services, pod, container, start, image, sandbox, volumes, since)
    except ConfigError as exc:
        raise NotYet("CreateContainerConfigError", str(exc), CONFIG_RETRY) from exc
    except ApiError as exc:
        raise NotYet("CreateContainerConfigError", exc.message, CONFIG_RETRY) from exc


async def _prepare(
    services: NodeServices, pod: Obj, container: Mapping[str, Any], start: Start, image: Image, sandbox: Sandbox,
    volumes: Mapping[str, Path], since: float,
) -> ContainerSpec:  # fmt: skip
    namespace, spec, node = pod["metadata"]["namespace"], pod["spec"], services.node
    sources = await services.lookup.sources(namespace, referred_sources(container), since=since)
    links = bool(spec.get("enableServiceLinks", True))
    linked = await services.lookup.services(namespace, since=since, links=links)
    environment = render_environment(
        pod, container, sources=sources, services=linked, node=node, address=sandbox.address
    )
    hostname = kernel_hostname_of(pod, node.cluster_domain)
    if hostname:
        environment.setdefault("HOSTNAME", hostname)
    mounts = container_mounts(services, pod, container, start, volumes, environment) if services.volumes.real else ()
    adjustment = oom_score_adj(pod, container, node.memory)
    return ContainerSpec(
        pod=pod_ref(pod),
        name=container["name"],
        attempt=start.attempt,
        sandbox=sandbox,
        image=image.id,
        image_name=container["image"],
        command=expanded(container.get("command"), environment),
        args=expanded(container.get("args"), environment),
        environment=environment,
        working_dir=container.get("workingDir") or "",
        mounts=mounts,
        resources=render_resources(container),
        security=render_security(
            pod, container, image, oom_score_adj=adjustment, profiles=services.volumes.seccomp_profiles
        ),
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        tty=bool(container.get("tty")),
        stop_signal=(container.get("lifecycle") or {}).get("stopSignal") or "",
        share_processes=bool(spec.get("shareProcessNamespace")),
        host_pid=bool(spec.get("hostPID")),
        host_ipc=bool(spec.get("hostIPC")),
        hostname=hostname,
        one_off=spec.get("restartPolicy") == "Never",
    )


def container_mounts(
    services: NodeServices,
    pod: Obj,
    container: Mapping[str, Any],
    start: Start,
    volumes: Mapping[str, Path],
    environment: Mapping[str, str],
) -> tuple[Mount, ...]:
    uid = pod["metadata"]["uid"]
    return render_mounts(
        pod,
        container,
        volumes=volumes,
        folder=services.volumes.folder(uid),
        environment=environment,
        termination_file=services.volumes.termination_file(uid, container["name"], start.attempt),
    )


def expanded(words: list[str] | None, environment: Mapping[str, str]) -> tuple[str, ...] | None:
    return None if words is None else tuple(expand(word, environment) for word in words)


async def create_and_start(services: NodeServices, pod: Obj, spec: ContainerSpec) -> str:
    """The container's id, running or failed to run: ask the engine which. Raises: NotYet."""
    runtime, recorder = services.runtime, services.recorder
    try:
        container_id = await runtime.create_container(spec)
    except RuntimeUnavailable as exc:
        raise NotYet("ContainerCreating", str(exc), 1.0) from exc
    except RuntimeFailure as exc:
        recorder.warning(pod, "Failed", f"Error: {exc}")
        raise NotYet("CreateContainerError", str(exc), CONFIG_RETRY) from exc
    recorder.normal(pod, "Created", f"Created container: {spec.name}")
    try:
        await runtime.start_container(container_id, hostname=spec.hostname)
    except RuntimeUnavailable as exc:
        raise NotYet("ContainerCreating", str(exc), 1.0) from exc
    except RuntimeFailure as exc:
        recorder.warning(pod, "Failed", f"Error: {start_error(str(exc), spec)}")
        return container_id
    recorder.normal(pod, "Started", f"Started container {spec.name}")
    return container_id


def start_error(message: str, spec: ContainerSpec) -> str:
    command = shlex.join([*(spec.command or ()), *(spec.args or ())])
    return f"failed to start container {spec.name}{f' ({command})' if command else ''}: {message}"
