"""Cloud Native Buildpacks in a pod: the lifecycle's phases, each in a container of its own, one after the other.

Analyzing, restoring and exporting speak to the registry, with a token for the app's own repository; detecting and
building run buildpacks, and see the app's config but no token. The image goes straight into the registry, and so
does the cache.
Source: buildpacks/spec platform.md (Platform API 0.12: analyzer, detector, restorer, builder, exporter).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from builder import host_config
from builder.cnb import EXIT_CODES, BuilderImage, read_builder, read_processes
from builder.detect import Way
from builder.dockerfile import exposed_ports
from builder.errors import BuildFailed
from builder.host_config import CA_IN_CONTAINER, HostConfig
from builder.image import git_tag
from builder.jobs import handover, pod, spec
from builder.jobs.builder_image import BuilderImages, place_of
from builder.jobs.pod import Phase, Pod
from builder.jobs.pods import Pods, config_files, name_of
from builder.jobs.spec import Obj, Task
from builder.progress import Progress
from builder.registry_api import RegistryClient
from builder.runtime import Job, Result
from builder.settings import BuildLimits, Settings
from builder.workspace import Workspace

CACHE_TAG = "cnb-cache"
TREE = "build"  # the first container: it waits for the tree
INSECURE_SINCE = (0, 13)  # the platform API that knows registries without TLS


@dataclass(frozen=True)
class Step:
    """A phase of the lifecycle."""

    name: str
    words: tuple[str, ...]
    volumes: Mapping[str, str]  # volume → where
    sees: frozenset[str] = frozenset()  # Secrets


@dataclass(frozen=True)
class CnbTask(Task):
    builder: BuilderImage | None = None
    steps: tuple[Step, ...] = ()


def steps(builder: BuilderImage, registry: str, app: str, tag: str, fresh: bool) -> tuple[Step, ...]:
    """What runs, in order. `fresh`: nothing of what the last build left is used."""
    image, cache = f"{registry}/{app}:{tag}", f"-cache-image={registry}/{app}:{CACHE_TAG}"
    plain = (f"-insecure-registry={registry}",) if version(builder.api) >= INSECURE_SINCE else ()
    layers, tree, log = "-layers=/layers", "-app=/workspace", "-log-level=info"
    kept = ("-skip-layers",) if fresh else (cache,)
    outside, inside = frozenset({"registry"}), frozenset({"config", "host"})
    folder, code = {"layers": "/layers", "tmp": "/tmp"}, {"layers": "/layers", "tmp": "/tmp", "app": "/workspace"}
    return (
        Step("analyze", ("analyzer", layers, log, *plain, *kept, f"-run-image={builder.run_image}", image), folder,
             outside),
        Step("detect", ("detector", tree, layers, "-platform=/platform", log), code, inside),
        Step("restore", ("restorer", layers, log, *plain, *kept), folder, outside),
        Step("compile", ("builder", tree, layers, "-platform=/platform", log), code, inside),
        Step("export", ("exporter", tree, layers, log, *plain, cache, image), code, outside),
    )  # fmt: skip


def version(api: str) -> tuple[int, ...]:
    return tuple(map(int, api.split(".")))


def template(task: CnbTask, limits: BuildLimits, given: Mapping[str, Collection[str]]) -> Obj:
    """The pod: the steps are its init containers, the last one its container."""
    assert task.builder is not None
    made = spec.pod(replace(task, rootless=False), limits, given)
    user = {"runAsUser": task.builder.uid, "runAsGroup": task.builder.gid, "fsGroup": task.builder.gid}
    volumes = sorted({"workspace", *(name for step in task.steps for name in step.volumes)})
    scratch: list[Obj] = [{"name": name, "emptyDir": {"sizeLimit": str(limits.disk_bytes)}} for name in volumes]
    (plain,) = made["containers"]
    wait = {**plain, "name": TREE, "command": ["/bin/sh", "-c", spec.WAIT, "build", "true"]}
    wait["volumeMounts"] = [
        {"name": "workspace", "mountPath": "/workspace"},
        {"name": "app", "mountPath": "/app"},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    *first, last = (container(task, step, plain, given) for step in task.steps)
    return {
        **made,
        "securityContext": {**made["securityContext"], **user},
        "volumes": [*scratch, *(volume for volume in made["volumes"] if "secret" in volume)],
        "initContainers": [wait, *first],
        "containers": [last],
    }


def container(task: CnbTask, step: Step, plain: Obj, given: Mapping[str, Collection[str]]) -> Obj:
    env = {**(task.env if "host" in step.sees else {}), **environment(task.builder)}
    if "registry" in step.sees:
        env["DOCKER_CONFIG"] = spec.DOCKER_CONFIG
    mounts: list[Obj] = [{"name": name, "mountPath": path} for name, path in step.volumes.items()]
    return {
        **plain,
        "name": step.name,
        "command": [f"/cnb/lifecycle/{step.words[0]}", *step.words[1:]],
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "volumeMounts": [*mounts, *secret_mounts(step, given)],
    }


def environment(builder: BuilderImage | None) -> dict[str, str]:
    assert builder is not None
    return {"CNB_PLATFORM_API": builder.api, "CNB_NO_COLOR": "true"}


def secret_mounts(step: Step, given: Mapping[str, Collection[str]]) -> Iterator[Obj]:
    """The app's config lies where the lifecycle looks for it, each variable a plain file: of a Secret's own folder it
    would read the links beside them, too."""
    if "registry" in step.sees:
        yield {"name": "registry", "mountPath": spec.DOCKER_CONFIG, "readOnly": True}
    if "config" in step.sees:
        for key in sorted(given.get("config", ())):
            yield {"name": "config", "mountPath": f"/platform/env/{key}", "subPath": key, "readOnly": True}
    if "host" in step.sees:
        yield {"name": "host", "mountPath": spec.HOST_FILES, "readOnly": True}
    if spec.CA_KEY in given.get("host", ()):
        yield {"name": "host", "mountPath": CA_IN_CONTAINER, "subPath": spec.CA_KEY, "readOnly": True}


class LifecycleBuilds:
    def __init__(self, pods: Pods, registry: RegistryClient, host: HostConfig, settings: Settings) -> None:
        self._pods, self._registry, self._host, self._settings = pods, registry, host, settings
        self._images = BuilderImages(registry, settings)

    async def build(self, space: Workspace, job: Job, progress: Progress) -> Result:
        """Build the tree in `space.app` with the builder image. Raises: BuildFailed, ClusterError, RegistryError."""
        progress.step(f"Building with Cloud Native Buildpacks ({job.cnb_builder})")
        builder = read_builder(job.cnb_builder, await self._images.inspect(job.cnb_builder))
        registry, tag = self._settings.registry.host, git_tag(job.commit)
        run = place_of(builder.run_image)
        if run.host == registry and "/" not in run.repository:
            raise BuildFailed(f"The run image of {builder.name} is an app's image.")
        source = run.repository if run.host == registry else self._settings.stack_repository
        token = await self._registry.push_token(job.app, source, spec.longest(self._settings.limits))
        given = {
            "config": config_files(job.config),
            "registry": {"config.json": spec.token_config(self._settings.registry, token)},
        }
        fresh = bool(job.config.get("DEIS_DISABLE_CACHE"))
        env = {**self._host.env, **host_config.proxies(self._settings.host)}
        task = CnbTask(
            name_of(job.app), builder.name, (), env, secrets.token_hex(16), builder=builder,
            steps=steps(builder, registry, job.app, tag, fresh),
        )  # fmt: skip
        with progress.phase("build"):
            await self._run(task, space, given, progress)
        digest, config = await self._made(job.app, tag)
        ports = exposed_ports(config.get("config") or {})
        return Result(digest, read_processes(config), ports, Way.CNB)

    async def _run(
        self, task: CnbTask, space: Workspace, given: Mapping[str, Mapping[str, bytes]], progress: Progress
    ) -> None:
        limits = self._settings.limits
        async with self._pods.started(task, given, progress, template) as running, pod.limited(limits.timeout):
            await handover.send(self._pods.api, running, {"app": space.app}, {}, "")
            if await running.output(task.mark, progress.raw, progress) is None:
                raise pod.explain(running.sight, limits)
            await handover.release(self._pods.api, running)
            for step in task.steps:
                await self._follow(running, step, task, progress)

    async def _follow(self, running: Pod, step: Step, task: CnbTask, progress: Progress) -> None:
        """Pass on what a step says, to its end. Raises: BuildFailed unless that is success."""
        limits = self._settings.limits
        await running.attend(step.name)
        await running.until(lambda now: now.phase is not Phase.WAITING)
        await running.output(task.mark, progress.raw, progress)
        sight = await running.until(lambda now: now.phase is Phase.ENDED)
        if sight.code or sight.reason not in ("Completed", ""):
            known = "" if sight.reason != "Error" else EXIT_CODES.get(sight.code, "")
            if sight.reason == "Error":
                raise BuildFailed(
                    known or f"The lifecycle's {step.words[0]} failed with exit code {sight.code}; see the lines above."
                )
            raise pod.explain(sight, limits)

    async def _made(self, app: str, tag: str) -> tuple[str, dict[str, Any]]:
        """The image that was exported: its digest and config. Raises: BuildFailed when there is none."""
        manifest = await self._registry.manifest(app, tag)
        if manifest is None or "config" not in manifest.content:
            raise BuildFailed("The lifecycle says that it exported the image, and the registry has none.")
        return manifest.digest, json.loads(await self._registry.blob(app, manifest.content["config"]["digest"]))
