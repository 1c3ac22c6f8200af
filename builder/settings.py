"""The builder's settings, read from the environment once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from builder.egress import Network, parse_networks

GIB = 1024**3
CODE = Path(__file__).resolve().parent


class SettingsError(ValueError):
    """A variable is missing or doesn't read as what it should be."""


@dataclass(frozen=True)
class BuildLimits:
    memory: int = 1 * GIB  # bytes; more than this kills the build, in words
    cpus: float = 2.0  # cores
    pids: int = 1024  # processes and threads
    timeout: float = 900.0  # seconds from the start of the build to its end
    source_bytes: int = 2 * GIB  # an unpacked tree larger than this is refused
    source_files: int = 200_000
    repository_bytes: int = 4 * GIB  # of an app's repository with all its history
    disk_bytes: int = 8 * GIB  # what a build may leave in its folders


@dataclass(frozen=True)
class Registry:
    host: str  # host:port, as it stands in image names
    username: str = ""
    password: str = field(default="", repr=False)
    url: str = ""  # where this program reaches it; empty: plain HTTP at `host`

    @property
    def base(self) -> str:
        return self.url.rstrip("/") or f"http://{self.host}"


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes cluster that builds run in, as Jobs."""

    kubeconfig: str = ""  # path; empty: the service account of the pod that the builder runs in
    namespace: str = "paas-builds"
    image: str = ""  # what buildpacks run in, as nodes name it; empty: REGISTRY_HOST/paas/stack-build:trixie
    buildkit_image: str = ""  # rootless BuildKit; empty: no Dockerfiles


@dataclass(frozen=True)
class Settings:
    data: Path
    controller_url: str
    builder_key: str = field(repr=False)
    registry: Registry
    docker_host: str = "unix:///var/run/docker.sock"
    ssh_listen: tuple[tuple[str, int], ...] = (("0.0.0.0", 2222), ("::", 2222))
    http_listen: tuple[str, int] = ("127.0.0.1", 2280)
    instance: str = "paas"  # label value on every container and network the builder makes
    stack_image: str = "paas/stack:trixie"
    cnb_builder: str = ""  # builder image for apps that bring no Dockerfile and name none themselves
    limits: BuildLimits = BuildLimits()
    concurrency: int = 2  # builds at once; others wait and are told their place
    pool: int = 1  # build containers kept ready
    git: str | None = None  # path of the git binary; None: dulwich receives
    log_intake: str = ""  # socket on which the log store takes lines, or udp://host:port
    app_url_template: str = ""  # http://{app}.example.com
    deploy_timeout: float = 900.0  # seconds the controller may take to make a release live
    mtu: int = 0  # of build networks; 0: the smallest of the host's
    fetch_allow: tuple[Network, ...] = ()  # private networks with git hosts to fetch from
    denied: tuple[Network, ...] = ()  # networks that builds can't reach: the platform's pods and Services
    cluster: Cluster | None = None  # None: builds run on the engine
    docker_cert_path: str = ""  # certificates for an engine on TCP
    host: Mapping[str, str] = field(default_factory=dict, repr=False)  # the environment: proxies, pip's and npm's own

    @property
    def engine_is_here(self) -> bool:
        """Whether its networks are this host's."""
        return self.docker_host.startswith("unix:")

    @property
    def build_image(self) -> str:
        """The stack with compilers on top: paas/stack:trixie → paas/stack-build:trixie."""
        name, _, tag = self.stack_image.rpartition(":")
        return f"{name}-build:{tag}"

    @property
    def stack_repository(self) -> str:
        return self.stack_image.rpartition(":")[0]


def parse_listen(text: str) -> tuple[tuple[str, int], ...]:
    """`0.0.0.0:2222,[::]:2222` as (host, port) pairs."""
    pairs = []
    for part in filter(None, (item.strip() for item in text.split(","))):
        host, colon, port = part.rpartition(":")
        if not colon or not port.isdigit() or not 0 <= int(port) <= 65535:
            raise SettingsError(f"{part!r} is not host:port")
        pairs.append((host.strip("[]") or "0.0.0.0", int(port)))
    if not pairs:
        raise SettingsError("no listening address given")
    return tuple(pairs)


def read_key(path: str) -> str:
    return Path(path).read_text().strip() if path else ""


def read_networks(name: str, env: Mapping[str, str]) -> tuple[Network, ...]:
    text = env.get(name, "")
    try:
        return parse_networks(text)
    except ValueError as exc:
        raise SettingsError(f"{name}={text!r} is not a comma-separated list of networks") from exc


def read_cluster(env: Mapping[str, str]) -> Cluster | None:
    runtime = env.get("BUILDER_RUNTIME") or "engine"
    if runtime not in ("engine", "kubernetes"):
        raise SettingsError(f"BUILDER_RUNTIME={runtime!r} is neither engine nor kubernetes")
    if runtime == "engine":
        return None
    return Cluster(
        kubeconfig=env.get("BUILDER_KUBECONFIG", ""),
        namespace=env.get("BUILDER_NAMESPACE") or Cluster.namespace,
        image=env.get("BUILDER_JOB_IMAGE", ""),
        buildkit_image=env.get("BUILDER_BUILDKIT_IMAGE", ""),
    )


def read_registry(env: Mapping[str, str] = os.environ) -> Registry:
    host = env.get("REGISTRY_HOST", "127.0.0.1:5000")
    path, url = env.get("REGISTRY_CREDENTIALS_FILE", ""), env.get("REGISTRY_URL", "")
    if not path:
        return Registry(host, url=url)
    credentials = json.loads(Path(path).read_text())
    return Registry(host, credentials["username"], credentials["password"], url)


def load(env: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `env`. Raises: SettingsError naming the variable."""

    def number(name: str, default: float) -> float:
        raw = env.get(name, "")
        try:
            return float(raw) if raw else default
        except ValueError as exc:
            raise SettingsError(f"{name}={raw!r} is not a number") from exc

    if not env.get("BUILDER_DATA"):
        raise SettingsError("BUILDER_DATA is not set: the folder for repositories, caches and the host key")
    limits = BuildLimits(
        memory=int(number("BUILD_MEMORY", BuildLimits.memory)),
        cpus=number("BUILD_CPUS", BuildLimits.cpus),
        pids=int(number("BUILD_PIDS", BuildLimits.pids)),
        timeout=number("BUILD_TIMEOUT", BuildLimits.timeout),
        source_bytes=int(number("BUILD_SOURCE_BYTES", BuildLimits.source_bytes)),
        repository_bytes=int(number("BUILD_REPOSITORY_BYTES", BuildLimits.repository_bytes)),
        disk_bytes=int(number("BUILD_DISK", BuildLimits.disk_bytes)),
    )
    return Settings(
        data=Path(env["BUILDER_DATA"]).absolute(),
        controller_url=env.get("CONTROLLER_URL", "http://127.0.0.1:8000").rstrip("/"),
        builder_key=read_key(env.get("BUILDER_KEY_FILE", "")),
        registry=read_registry(env),
        docker_host=env.get("DOCKER_HOST") or Settings.docker_host,
        ssh_listen=parse_listen(env.get("BUILDER_SSH_LISTEN") or "0.0.0.0:2222,[::]:2222"),
        http_listen=parse_listen(env.get("BUILDER_HTTP_LISTEN") or "127.0.0.1:2280")[0],
        log_intake=env.get("LOGGER_INTAKE", ""),
        instance=env.get("BUILDER_INSTANCE") or Settings.instance,
        stack_image=env.get("STACK_IMAGE") or Settings.stack_image,
        cnb_builder=env.get("CNB_BUILDER", ""),
        limits=limits,
        concurrency=max(1, int(number("BUILD_CONCURRENCY", Settings.concurrency))),
        pool=max(0, int(number("BUILD_POOL", Settings.pool))),
        git=None if env.get("BUILDER_GIT") == "dulwich" else shutil.which(env.get("BUILDER_GIT") or "git"),
        app_url_template=env.get("APP_URL_TEMPLATE", ""),
        deploy_timeout=number("DEPLOY_TIMEOUT", Settings.deploy_timeout),
        mtu=int(number("BUILDER_MTU", 0)),
        fetch_allow=read_networks("BUILD_FETCH_ALLOW", env),
        denied=read_networks("BUILD_DENIED_NETWORKS", env),
        cluster=read_cluster(env),
        docker_cert_path=env.get("DOCKER_CERT_PATH", ""),
        host=dict(env),
    )


@dataclass(frozen=True)
class StackDefaults:
    """What `python -m builder stack` takes from the environment when its options don't say."""

    docker_host: str
    image: str
    data: str
    instance: str
    host: Mapping[str, str] = field(repr=False)


def stack_defaults(env: Mapping[str, str] = os.environ) -> StackDefaults:
    return StackDefaults(
        docker_host=env.get("DOCKER_HOST") or Settings.docker_host,
        image=env.get("STACK_IMAGE") or Settings.stack_image,
        data=env.get("BUILDER_DATA") or "/var/lib/paas/builder",
        instance=env.get("BUILDER_INSTANCE") or Settings.instance,
        host=dict(env),
    )
