"""The variables that templates set are those that programs read, both ways; and rules cover what programs ask."""

from __future__ import annotations

import ast
import json
import re

import pytest

from builder import settings as builder_settings
from controller.cluster.client import PATHS
from logger import settings as logger_settings
from registry import settings as registry_settings
from router import settings as router_settings
from tests.charts.rendering import FULL, ROOT, SCHEMA, containers, objects, pods

FILES = {
    "controller": ["controller/settings/deploy.py", "controller/gunicorn.py"],
    "builder": ["builder/settings.py"],
    "logger": ["logger/settings.py"],
    "registry": ["registry/settings.py"],
    "router": ["router/settings.py"],
}
PLAIN = {"HOME", "DJANGO_SETTINGS_MODULE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}  # of Python, Django, requests
FROM_KUBERNETES = {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG"}  # the pod's service account
NOT_IN_PODS = {
    "builder": {"DOCKER_HOST", "DOCKER_CERT_PATH", "BUILD_POOL", "BUILDER_MTU", "CNB_BUILDER", "BUILDER_KUBECONFIG"},
    "logger": {"ROUTER_ACCESS_LOG"},  # a file of the same host
    "registry": {"REGISTRY_REMOTE_URL", "SSL_CERT_FILE", "AWS_CA_BUNDLE"},  # a copy of another; the image's own bundle
    "router": {"ROUTER_WORKERS", "ROUTER_USER"},  # from the pod's processors; the pod's user
}
VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")


def read_by(program: str) -> set[str]:
    """The names of variables in the source of the program's settings."""
    found = set()
    for name in FILES[program]:
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and VARIABLE.fullmatch(node.value):
                found.add(node.value)
    return found


def environment(program: str, values: dict) -> dict[str, str]:
    """What the program's container is given; `secret` for values that stand in one."""
    spec = dict(pods(objects(values)))[
        ("Deployment" if program in ("controller", "router") else "StatefulSet") + f"/paas-{program}"
    ]
    return {variable["name"]: variable.get("value", "secret") for variable in spec["containers"][0]["env"]}


@pytest.mark.parametrize("program", FILES)
def test_templates_set_what_programs_read(program):
    optional = set(
        SCHEMA["properties"].get(program, {}).get("properties", {}).get("settings", {}).get("properties", {})
    )
    given = set(environment(program, {})) | set(environment(program, FULL))
    read = read_by(program)
    further = {name for name in given if name.startswith("PIP_")}
    assert given - read - PLAIN - further == set(), "set by the chart, read by nobody"
    assert optional - read == set(), "offered by values.schema.json, read by nobody"
    left = read - given - optional - FROM_KUBERNETES - NOT_IN_PODS.get(program, set())
    assert {name for name in left if not is_django(name)} == set(), "read by the program, not settable by the chart"


def is_django(name: str) -> bool:
    """Names of Django's own settings, which stand in the same file."""
    return name in {"EMAIL_BACKEND"}


def test_worker_and_migrations_have_the_controllers_environment():
    wanted = environment("controller", FULL)
    for name, spec in pods(objects(FULL)):
        if name.startswith(("Deployment/paas-worker", "Job/paas-migrate")):
            for container in containers(spec):
                assert {each["name"] for each in container["env"]} == set(wanted), name


def test_programs_take_what_the_chart_says(tmp_path, monkeypatch):
    """Each program's own reader accepts the rendered values."""
    monkeypatch.setattr(
        router_settings.socket, "getaddrinfo", lambda host, port, **_: [(2, 1, 6, "", ("10.0.0.9", port))]
    )
    routes = router_settings.load_settings(environment("router", {}))
    assert str(routes.static["paas.localhost"]) == "10.0.0.9:8000"
    assert str(routes.static["registry.paas.localhost ^~ /v2/"]) == "10.0.0.9:5000" and "127.0.0.1" in routes.static
    assert routes.static["paas.localhost ~ ^/[a-z][a-z0-9-]*[.]git/"].port == 8010

    login, key = tmp_path / "registry.json", tmp_path / "builder.key"
    login.write_text(json.dumps({"username": "paas", "password": "x"}))
    key.write_text("k" * 32)
    files = {"REGISTRY_CREDENTIALS_FILE": str(login), "BUILDER_KEY_FILE": str(key)}
    built = builder_settings.load(environment("builder", FULL) | files)
    assert built.cluster and built.cluster.namespace == "builds" and built.limits.memory == 2 << 30
    assert built.registry.base == "http://paas-registry:5000" and built.registry.host == "127.0.0.1:5555"

    kept = logger_settings.load(environment("logger", FULL) | files)
    assert kept.days == 30 and kept.door().opens_to("k" * 32) and not kept.door().opens_to("")

    registry = environment("registry", {}) | {
        "REGISTRY_TOKEN_CERT_FILE": str(key),
        "REGISTRY_NOTIFY_KEY_FILE": str(key),
    }
    assert registry_settings.admin_address(registry) == ("0.0.0.0:5001", "k" * 32)
    assert registry_settings.load(registry).token_realm == "http://paas-controller:8000/v2/registry/token"


def rules(kind: str, name: str) -> dict[tuple[str, str], set[str]]:
    """(API group, resource) and the verbs allowed on it."""
    role = next(o for o in objects({}) if o["kind"] == kind and o["metadata"]["name"] == name)
    return {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def resource_of(kind: str) -> tuple[str, str]:
    prefix, plural, _ = PATHS[kind]
    return (prefix.split("/")[1] if prefix.startswith("apis/") else "", plural)


def kinds_written() -> set[str]:
    """Kinds of the manifests that the controller renders."""
    found = set()
    for path in (ROOT / "controller").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "kind" and isinstance(value, ast.Constant):
                        found.add(value.value)
    return found & PATHS.keys()


def test_the_controllers_rules_are_what_it_asks_of_the_cluster():
    allowed = rules("ClusterRole", "platform-paas-controller")
    for kind in PATHS:
        assert {"get", "list", "watch"} <= allowed[resource_of(kind)], kind
    assert {"Deployment", "Service", "Secret", "Namespace", "Pod", "Job", "CronJob"} <= kinds_written()
    for kind in kinds_written():
        assert {"create", "patch", "delete"} <= allowed[resource_of(kind)], kind
    for kind in PATHS.keys() - kinds_written():
        assert allowed[resource_of(kind)] == {"get", "list", "watch"}, f"{kind} is only read"
    assert allowed.pop(("", "pods/log")) == {"get"}
    for what in ("exec", "attach", "portforward"):
        assert allowed.pop(("", f"pods/{what}")) == {"get", "create"}
    assert allowed.keys() == {resource_of(kind) for kind in PATHS}, "rules for what nobody asks"


def test_router_and_logger_may_read_what_they_watch_and_nothing_else():
    from router.watch import SOURCES

    wanted = set()
    for source in SOURCES.values():
        parts = source.path.strip("/").split("/")
        wanted.add((parts[1] if parts[0] == "apis" else "", parts[-1]))
    allowed = rules("ClusterRole", "platform-paas-router")
    assert allowed == {key: {"list", "watch"} for key in wanted}
    assert rules("ClusterRole", "platform-paas-logger") == {("", "pods"): {"list", "watch"}, ("", "pods/log"): {"get"}}


def test_the_builder_may_do_something_in_the_namespace_of_its_builds_alone():
    made = objects({})
    subjects = [
        (binding["kind"], binding["metadata"]["namespace"])
        for binding in made
        if binding["kind"].endswith("Binding") and binding["subjects"][0]["name"] == "paas-builder"
    ]
    assert subjects == [("RoleBinding", "paas-builds")]
    allowed = rules("Role", "paas-builder")
    asked = "\n".join(path.read_text() for path in (ROOT / "builder" / "jobs").glob("*.py"))
    for _, resource in allowed:
        assert resource.replace("pods/", "") in asked, resource
    assert allowed[("batch", "jobs")] == {"create", "get", "list", "patch", "delete"}
