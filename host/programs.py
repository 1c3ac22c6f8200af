"""The processes of one instance: command, environment, order, and where each says that it is well.

Pure: from a `Platform` and the operator's environment to a list of `Program`. This is the only place that knows
every program's environment variables (docs/architecture.md has the table).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from host.operator_settings import controller_settings, registry_settings
from host.secret_files import REGISTRY_TOKENS
from host.settings import CHECKOUT, Platform

STACK_IMAGE = "paas/stack:trixie"
BUILDER_PATHS = ("~ ^/[a-z][a-z0-9-]*[.]git/", "^~ /builder/")  # of the platform's own host, as nginx locations
TOKEN_PATH = "/v2/registry/token"  # of the controller
PASSED_TO_BUILDS = (
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO",
    "CNB_BUILDER",
)  # fmt: skip
BUILD_CHOICES = (
    "BUILD_MEMORY", "BUILD_CPUS", "BUILD_PIDS", "BUILD_DISK", "BUILD_TIMEOUT", "BUILD_SOURCE_BYTES",
    "BUILD_REPOSITORY_BYTES", "BUILD_CONCURRENCY", "BUILD_POOL", "BUILD_FETCH_ALLOW",
    "BUILDER_RUNTIME", "BUILDER_NAMESPACE", "BUILDER_JOB_IMAGE", "BUILDER_BUILDKIT_IMAGE", "BUILDER_KUBECONFIG",
)  # fmt: skip
PASSED_PREFIXES = (
    "PIP_", "NPM_CONFIG_", "npm_config_", "UV_", "BUNDLE_", "COMPOSER_AUTH",
    "GOPROXY", "GOPRIVATE", "GONO", "GOSUMDB", "GOINSECURE",
)  # fmt: skip


@dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    priority: int = 500  # lower starts first
    stop_seconds: int = 15
    ready: str = ""  # http(s)://… that answers 200, tcp://host:port, unix:path, or empty


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What every program gets: nothing of the operator's shell but the essentials."""
    return {
        "PATH": f"{CHECKOUT}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": environ.get("HOME", "/root"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(CHECKOUT),
        "MALLOC_ARENA_MAX": "2",
    }


def index_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """How this machine reaches its package indexes: builds need the same."""
    return {key: value for key, value in environ.items() if key in PASSED_TO_BUILDS or key.startswith(PASSED_PREFIXES)}


def build_choices(environ: Mapping[str, str]) -> dict[str, str]:
    """The operator's own limits of builds (docs/operating.md)."""
    return {key: environ[key] for key in BUILD_CHOICES if environ.get(key)}


def plan_programs(platform: Platform, environ: Mapping[str, str]) -> list[Program]:
    programs = [
        _redis(platform),
        _registry(platform),
        *_registry_cache(platform),
        *([] if platform.kubeconfig else _orchestrator(platform)),
        *_controller(platform),
    ]
    programs += [_builder(platform, environ), *_router(platform), _logger(platform), _guardian(platform)]
    if platform.docker_host == own_docker_host(platform):
        programs.insert(0, _engine(platform))
    return sorted(programs, key=lambda program: program.priority)


def own_docker_host(platform: Platform) -> str:
    return f"unix://{platform.home}/run/docker.sock"


def redis_url(platform: Platform) -> str:
    return f"redis+socket://{platform.home}/run/redis.sock"


def kubeconfig(platform: Platform, who: str) -> str:
    """Which cluster a program drives, and who it is there: on our own one each has a certificate of its own."""
    return platform.kubeconfig or f"{platform.home}/orchestrator/{who}.kubeconfig"


def controller_environment(platform: Platform) -> dict[str, str]:
    home = platform.home
    return {
        "DJANGO_SETTINGS_MODULE": "controller.settings.deploy",
        "CONTROLLER_DATA": f"{home}/controller",
        "DATABASE_URL": os.environ.get("PAAS_DATABASE_URL") or f"sqlite:///{home}/controller/db.sqlite3",
        "REDIS_URL": redis_url(platform),
        "SECRET_KEY_FILE": f"{home}/secrets/django.key",
        "BUILDER_KEY_FILE": f"{home}/secrets/builder.key",
        "KUBECONFIG": kubeconfig(platform, "controller"),
        "PLATFORM_DOMAIN": platform.domain,
        "PLATFORM_URL": platform.url,
        "GIT_SSH_URL": platform.git_ssh_url,
        "REGISTRY_HOST": platform.registry_host,
        "REGISTRY_CREDENTIALS_FILE": f"{home}/secrets/registry.json",
        "ROUTER_METRICS_URL": f"http://127.0.0.1:{platform.router_metrics_port}/metrics",
        "BUILDER_URL": f"http://127.0.0.1:{platform.builder_http_port}",
        "REGISTRY_ADMIN_SOCKET": f"{home}/registry/admin.sock",
        "REGISTRY_TOKEN_KEY_FILE": f"{home}/secrets/{REGISTRY_TOKENS}.key",
        "REGISTRY_TOKEN_CERT_FILE": f"{home}/secrets/{REGISTRY_TOKENS}.crt",
        "REGISTRATION_MODE": os.environ.get("PAAS_REGISTRATION") or "admin_only",
        "APP_URL_TEMPLATE": platform.app_url_template,
        "FIRST_ANSWER": "false" if platform.engine_can_exec is False else "true",
        "LOGGER_SOCKET": logger_socket(platform),
        "CONTROLLER_LISTEN": f"127.0.0.1:{platform.controller_port}",
        **controller_settings(home),
    }


def _python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def _script(name: str, *arguments: str) -> list[str]:
    return ["/bin/sh", str(CHECKOUT / "host" / "scripts" / name), *arguments]


def _engine(platform: Platform) -> Program:
    home = platform.home
    return Program(
        "docker-engine",
        _script("engine.sh", f"{home}/docker", f"{home}/run", registry_settings(home).get("REGISTRY_CACHE_LISTEN", "")),
        priority=100,
        stop_seconds=40,
        ready=f"unix:{home}/run/docker.sock",
    )


def _redis(platform: Platform) -> Program:
    home = platform.home
    return Program(
        "redis",
        [
            "redis-server", "--port", "0", "--unixsocket", f"{home}/run/redis.sock", "--unixsocketperm", "700",
            "--dir", f"{home}/redis", "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
            "--maxmemory", "256mb", "--maxmemory-policy", "noeviction", "--daemonize", "no",
        ],
        priority=100,
        ready=f"unix:{home}/run/redis.sock",
    )  # fmt: skip


def _registry(platform: Platform) -> Program:
    return Program(
        "registry",
        _python("-m", "registry", "serve"),
        registry_environment(platform),
        priority=150,
        stop_seconds=30,
        ready=f"tcp://{platform.registry_listen}",
    )


def _registry_cache(platform: Platform) -> list[Program]:
    """Keeps copies of a public registry's images, when the operator named one (`registry.env`)."""
    wanted = registry_settings(platform.home)
    if not wanted.get("REGISTRY_REMOTE_URL"):
        return []
    environment = {
        "REGISTRY_DATA": f"{platform.home}/registry-cache",
        "REGISTRY_LISTEN": wanted["REGISTRY_CACHE_LISTEN"],
        "REGISTRY_REMOTE_URL": wanted["REGISTRY_REMOTE_URL"],
    }
    command, listening = _python("-m", "registry", "serve"), f"tcp://{wanted['REGISTRY_CACHE_LISTEN']}"
    return [
        Program("registry-cache", command, environment, 150, stop_seconds=30, ready=listening),
    ]


def registry_environment(platform: Platform) -> dict[str, str]:
    wanted = registry_settings(platform.home)
    return {
        **{name: value for name, value in wanted.items() if name.startswith("REGISTRY_S3_")},
        "REGISTRY_DATA": f"{platform.home}/registry",
        "REGISTRY_LISTEN": platform.registry_listen,
        "REGISTRY_NOTIFY_URL": f"http://127.0.0.1:{platform.controller_port}/v2/hooks/registry/",
        "REGISTRY_NOTIFY_KEY_FILE": f"{platform.home}/secrets/builder.key",
        "REGISTRY_TOKEN_REALM": token_realm(platform),
        "REGISTRY_TOKEN_CERT_FILE": f"{platform.home}/secrets/{REGISTRY_TOKENS}.crt",
    }


def token_realm(platform: Platform) -> str:
    """Where programs of this machine fetch the registry's tokens; the router tells clients its public form."""
    return f"http://127.0.0.1:{platform.controller_port}{TOKEN_PATH}"


def _orchestrator(platform: Platform) -> list[Program]:
    home = platform.home
    shared = {
        "ORCHESTRATOR_POD_CIDR": platform.pod_cidr,
        "ORCHESTRATOR_SERVICE_CIDR": platform.service_cidr,
        "ORCHESTRATOR_CLUSTER_DOMAIN": "cluster.local",
        "NODE_NAME": platform.node_name,
    }
    server = {
        "ORCHESTRATOR_DATA": f"{home}/orchestrator",
        "ORCHESTRATOR_LISTEN": f"127.0.0.1:{platform.api_port}",
        "ORCHESTRATOR_METRICS_URLS": f"http://127.0.0.1:{platform.router_metrics_port}/metrics",
    }
    agent = {
        "KUBECONFIG": f"{home}/orchestrator/agent.kubeconfig",
        "ORCHESTRATOR_DATA": f"{home}/orchestrator",
        "AGENT_DATA": f"{home}/agent",
        "AGENT_LISTEN": f"127.0.0.1:{platform.agent_port}",
        "AGENT_INSTANCE": platform.instance,
        "AGENT_RUNTIME": "docker",
        "AGENT_MTU": "",
        "DOCKER_HOST": platform.docker_host,
    }
    return [
        Program(
            "orchestrator-server", _python("-m", "orchestrator", "server"), shared | server, 200,
            ready=f"https://127.0.0.1:{platform.api_port}/readyz",
        ),
        Program(
            "orchestrator-agent", _python("-m", "orchestrator", "agent"), shared | agent, 250,
            ready=f"tcp://127.0.0.1:{platform.agent_port}",
        ),
    ]  # fmt: skip


def _controller(platform: Platform) -> list[Program]:
    environment = controller_environment(platform)
    return [
        Program(
            "controller",
            _python("-m", "gunicorn", "-c", f"{CHECKOUT}/controller/gunicorn.py", "controller.wsgi"),
            environment,
            300,
            stop_seconds=35,
            ready=f"http://127.0.0.1:{platform.controller_port}/readiness",
        ),
        Program(
            "controller-worker",
            _python(
                "-m", "celery", "-A", "controller", "worker", "-P", "threads", "-c", "8", "-l", "info",
                "--without-gossip", "--without-mingle",
            ),
            environment,
            310,
            stop_seconds=35,
        ),
    ]  # fmt: skip


def builder_environment(platform: Platform, environ: Mapping[str, str]) -> dict[str, str]:
    home = platform.home
    elsewhere = {"BUILDER_RUNTIME": "kubernetes", "BUILDER_KUBECONFIG": platform.kubeconfig}
    return {
        **index_environment(environ),
        **(elsewhere if platform.kubeconfig else {}),
        "BUILD_MEMORY": str(platform.build_memory),
        "BUILD_CPUS": str(platform.build_cpus),
        "BUILD_TIMEOUT": str(platform.build_timeout),
        **build_choices(environ),
        "BUILDER_DATA": f"{home}/builder",
        "BUILDER_SSH_LISTEN": platform.listen(platform.ssh_port),
        "BUILDER_HTTP_LISTEN": f"127.0.0.1:{platform.builder_http_port}",
        "CONTROLLER_URL": f"http://127.0.0.1:{platform.controller_port}",
        "BUILDER_KEY_FILE": f"{home}/secrets/builder.key",
        "DOCKER_HOST": platform.docker_host,
        "REGISTRY_HOST": platform.registry_host,
        "REGISTRY_CREDENTIALS_FILE": f"{home}/secrets/registry.json",
        "STACK_IMAGE": STACK_IMAGE,
        "APP_URL_TEMPLATE": platform.app_url_template,
        "LOGGER_INTAKE": f"{logger_socket(platform)}.intake",
        "BUILDER_INSTANCE": platform.instance,
        "BUILD_DENIED_NETWORKS": f"{platform.pod_cidr},{platform.service_cidr}",
    }


def _builder(platform: Platform, environ: Mapping[str, str]) -> Program:
    return Program(
        "builder",
        _python("-m", "builder"),
        builder_environment(platform, environ),
        priority=400,
        stop_seconds=20,
        ready=f"tcp://127.0.0.1:{platform.ssh_port}",
    )


def static_hosts(platform: Platform) -> dict[str, str]:
    """The controller under the platform's names, the paths of them that are the builder's, and the registry."""
    controller, builder = (f"127.0.0.1:{port}" for port in (platform.controller_port, platform.builder_http_port))
    hosts = {}
    for host in (platform.domain, f"deis.{platform.domain}"):
        hosts[host] = controller
        hosts |= {f"{host} {path}": builder for path in BUILDER_PATHS}
    public = f"registry.{platform.domain}"
    hosts |= {public: controller, f"{public} = {TOKEN_PATH}": controller, f"{public} ^~ /v2/": platform.registry_listen}
    return hosts


def router_environment(platform: Platform) -> dict[str, str]:
    return {
        "KUBECONFIG": kubeconfig(platform, "router"),
        "ROUTER_DATA": f"{platform.home}/router",
        "ROUTER_HTTP_LISTEN": platform.listen(platform.http_port),
        "ROUTER_HTTPS_LISTEN": platform.listen(platform.https_port),
        "ROUTER_METRICS_LISTEN": f"127.0.0.1:{platform.router_metrics_port}",
        "PLATFORM_DOMAIN": platform.domain,
        "ROUTER_STATIC": json.dumps(static_hosts(platform)),
    }


def _router(platform: Platform) -> list[Program]:
    environment = router_environment(platform)
    return [
        Program(
            "router-proxy",
            ["/bin/sh", str(CHECKOUT / "router" / "proxy_run.sh")],
            environment,
            350,
            stop_seconds=35,
            ready=f"tcp://127.0.0.1:{platform.http_port}",
        ),
        Program(
            "router-sync",
            _python("-m", "router"),
            environment,
            360,
            ready=f"http://127.0.0.1:{platform.router_metrics_port}/ready",
        ),
    ]


def logger_socket(platform: Platform) -> str:
    return f"{platform.home}/run/logger.sock"


def _logger(platform: Platform) -> Program:
    home = platform.home
    environment = {
        "KUBECONFIG": kubeconfig(platform, "controller"),
        "LOGGER_DATA": f"{home}/logger",
        "LOGGER_LISTEN": logger_socket(platform),
        "CONTROLLER_URL": f"http://127.0.0.1:{platform.controller_port}",
        "BUILDER_KEY_FILE": f"{home}/secrets/builder.key",
        "ROUTER_ACCESS_LOG": f"{home}/router/access.log",
        "LOGGER_DAYS": os.environ.get("PAAS_LOG_DAYS", ""),
        "LOGGER_MEGABYTES": os.environ.get("PAAS_LOG_MEGABYTES", ""),
        "LOGGER_LINES_PER_SECOND": os.environ.get("PAAS_LOG_LINES_PER_SECOND", ""),
    }
    return Program("logger", _python("-m", "logger"), environment, priority=305, ready=f"unix:{home}/run/logger.sock")


def _guardian(platform: Platform) -> Program:
    return Program(
        "guardian",
        _script("guardian.sh", f"{platform.home}/run/supervisord.pid", sys.executable),
        {"PAAS_HOME": str(platform.home)},
        priority=900,
        stop_seconds=5,
    )
