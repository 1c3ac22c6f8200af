"""A Dockerfile build by rootless BuildKit in a pod of its own: it pushes the image itself, and keeps its cache beside
it in the registry.

A rootless BuildKit without a process sandbox hides nothing of its pod from RUN steps. So the pod has a token for the
app's own repository, not the builder's login.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builder import host_config
from builder.detect import Way
from builder.dockerfile import Plan, explain, exposed_ports, plan_build, too_slow
from builder.dockerfile_text import CA_FILE, base_images, with_ca_mounts, without_syntax_line
from builder.errors import BuildFailed
from builder.host_config import HostConfig
from builder.image import git_tag
from builder.jobs import handover, pod, spec
from builder.jobs.pods import Pods, config_files, name_of
from builder.jobs.spec import Task
from builder.progress import Progress
from builder.registry_api import RegistryClient
from builder.runtime import Job, Result
from builder.settings import Cluster, Settings
from builder.workspace import Workspace

CACHE_TAG = "build-cache"
ANSWER = "/workspace/result.json"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
STEP = re.compile(r"#\d+ \[(?!internal\])[^\]]*\] (.*)")
SAID = re.compile(r"#\d+ \d+\.\d+ (.*)")
CACHED = re.compile(r"#\d+ CACHED$")
FAILED = re.compile(r"error: (.*)")
CONNECT = "100"  # tries, some seconds in all, until buildkitd must answer; a busy node takes a while
FLAGS = "--oci-worker-no-process-sandbox --config /workspace/buildkitd.toml"


@dataclass
class Told:
    """What `buildctl --progress=plain` says, in the words of our other builds."""

    progress: Progress
    last_step: str = "its first step"
    error: str = ""

    def line(self, raw: bytes) -> None:
        text = raw.decode(errors="replace").rstrip()
        if found := STEP.match(text):
            self.last_step = found[1]
            self.progress.detail(found[1])
        elif found := SAID.match(text):
            self.progress.detail(f"  {found[1]}")
        elif CACHED.match(text):
            self.progress.detail("  (cached)")
        elif found := FAILED.match(text):
            self.error = found[1]


def command(
    registry: str, app: str, tag: str, plan: Plan, args: Mapping[str, str], files: Mapping[str, str], stack: str
) -> list[str]:
    """buildctl's, as it runs in the pod. `files`: secrets by their id, and where they lie; `stack`: the stack image's
    name, which Dockerfiles may build on as they do elsewhere."""
    name = f"{registry}/{app}"
    words = ["buildctl-daemonless.sh", "build", "--progress=plain", "--frontend=dockerfile.v0"]
    words += ["--local=context=/workspace/context", "--local=dockerfile=/workspace/dockerfile"]
    words += [f"--opt=target={plan.target}"] if plan.target else []
    words += [f"--opt=build-arg:{key}={value}" for key, value in args.items()]
    ours = (image for image in base_images(plan.text, plan.args) if image.startswith(stack))
    words += [f"--opt=context:{image}=docker-image://{registry}/{image}" for image in ours]
    words += [f"--secret=id={key},src={path}" for key, path in files.items()]
    words += [f"--output=type=image,name={name}:{tag},push=true", f"--metadata-file={ANSWER}"]
    cache = f"type=registry,ref={name}:{CACHE_TAG}"
    words += [f"--import-cache={cache}", f"--export-cache={cache},mode=max,image-manifest=true,ignore-error=true"]
    return words


def daemon_config(registry: str) -> str:
    """BuildKit's: our registry speaks HTTP."""
    return f'[registry."{registry}"]\n  http = true\n  insecure = true\n'


class BuildkitBuilds:
    def __init__(
        self, pods: Pods, registry: RegistryClient, host: HostConfig, cluster: Cluster, settings: Settings
    ) -> None:
        self._pods, self._registry, self._host, self._cluster, self._settings = pods, registry, host, cluster, settings
        self._authority = bool(host_config.own_authority(settings.host))

    async def build(self, space: Workspace, job: Job, progress: Progress) -> Result:
        """Build the tree in `space.app` and push it. Raises: BuildFailed, ClusterError, RegistryError."""
        if not self._cluster.buildkit_image:
            raise BuildFailed("This platform builds no Dockerfiles: its operator names no BUILDER_BUILDKIT_IMAGE.")
        plan = plan_build(space.app, job.config)
        progress.step("Dockerfile app detected")
        with progress.phase("build"):
            digest = await self._run(job, plan, progress)
        settings = await self._settings_of(job.app, digest)
        if not settings.get("Cmd") and not settings.get("Entrypoint") and not plan.processes:
            raise BuildFailed(
                "The Dockerfile has no CMD and no ENTRYPOINT, and there is no Procfile: nothing would start."
            )
        return Result(digest, plan.processes, exposed_ports(settings) or plan.ports, Way.DOCKERFILE)

    async def _run(self, job: Job, plan: Plan, progress: Progress) -> str:
        """Build in a pod; the image's digest."""
        limits, registry, told = self._settings.limits, self._settings.registry, Told(progress)
        config = config_files(job.config)
        env = {
            "BUILDCTL_CONNECT_RETRIES_MAX": CONNECT,
            "BUILDKITD_FLAGS": FLAGS,
            "DOCKER_CONFIG": spec.DOCKER_CONFIG,
            **host_config.proxies(self._settings.host),
        }
        task = Task(
            name_of(job.app), self._cluster.buildkit_image, ["/bin/sh", "/workspace/build.sh"], env,
            secrets.token_hex(16), rootless=True,
        )  # fmt: skip
        life = spec.longest(limits)
        token = await self._registry.push_token(job.app, self._settings.stack_repository, life)
        given = {"config": config, "registry": {"config.json": spec.token_config(registry, token)}}
        async with self._pods.started(task, given, progress) as running:
            try:
                async with pod.limited(limits.timeout):
                    files = self._files(job, plan, config)
                    await handover.send(self._pods.api, running, {"workspace/context": plan.context}, files, "")
                    code = await running.output(task.mark, told.line, progress)
                    answer = b"" if code else await handover.read(self._pods.api, running, ANSWER)
            except pod.TooSlow as exc:
                raise BuildFailed(too_slow(limits.timeout, told.last_step)) from exc
            if code is None:
                raise pod.explain(running.sight, limits)
            if code:
                raise BuildFailed(explain(told.error or f"exit code: {code}", told.last_step, limits.memory))
        return digest_in(answer)

    def _files(self, job: Job, plan: Plan, config: Mapping[str, bytes]) -> dict[str, bytes]:
        """What goes into the pod beside the context."""
        text, secrets_ = without_syntax_line(plan.text), {key: f"{spec.CONFIG_FILES}/{key}" for key in config}
        secrets_ |= {key: f"{spec.HOST_FILES}/{key}" for key in self._host.files if key not in config}
        if self._authority:
            text = with_ca_mounts(text)
            secrets_[CA_FILE] = f"{spec.HOST_FILES}/{spec.CA_KEY}"
        args = {**host_config.proxies(self._settings.host), **plan.args}
        registry, stack = self._settings.registry.host, self._settings.stack_repository
        words = command(registry, job.app, git_tag(job.commit), plan, args, secrets_, stack)
        return {
            "workspace/dockerfile/Dockerfile": text.encode(),
            "workspace/buildkitd.toml": daemon_config(registry).encode(),
            "workspace/build.sh": f"exec {shlex.join(words)}\n".encode(),
        }

    async def _settings_of(self, app: str, digest: str) -> Mapping[str, Any]:
        """The image's own defaults. Raises: BuildFailed when it isn't in the registry."""
        manifest = await self._registry.manifest(app, digest)
        if manifest is None:
            raise BuildFailed("BuildKit says that it sent the image, and the registry has none of that digest.")
        config = json.loads(await self._registry.blob(app, manifest.content["config"]["digest"]))
        return config.get("config") or {}


def digest_in(answer: bytes) -> str:
    """The image's digest in buildctl's metadata. Raises: BuildFailed."""
    try:
        digest = str(json.loads(answer)["containerimage.digest"])
    except (ValueError, KeyError, TypeError) as exc:
        raise BuildFailed("BuildKit told no digest of the image it made. Push again.") from exc
    if not DIGEST.fullmatch(digest):
        raise BuildFailed("BuildKit told no digest of the image it made. Push again.")
    return digest
