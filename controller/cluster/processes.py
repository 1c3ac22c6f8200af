"""The rules for one process type: its command, port, probes and limits. All pure."""

import re

from controller.cluster.rules import number_in
from controller.cluster.wish import ReleaseWish

BUILDPACK_PORT = 5000
MOST_PORT = 65535
PROBE_DEFAULTS = {"timeoutSeconds": 5, "periodSeconds": 1, "successThreshold": 1, "failureThreshold": 3}
FIRST_ANSWER = {"timeoutSeconds": 30, "periodSeconds": 1, "failureThreshold": 60}  # /runner/ready waits by itself
SETTLE = 1  # seconds a process must live after its first good check …
SETTLE_UNSEEN = 3  # … and one that nothing checks: crashes at start show by then
_UNIT = re.compile(r"(?i)^(\d+(?:\.\d+)?)([bkmg]?)b?$")


def routable_type(structure: dict[str, int]) -> str:
    """The type that gets the app's traffic: web, unless only cmd runs."""
    if structure.get("web") or "cmd" not in structure:
        return "web"
    return "cmd" if structure.get("cmd") or "web" not in structure else "web"


def port_of(release: ReleaseWish | None) -> int | None:
    """The port a release listens on, or None when nobody knows."""
    if release is None:
        return None
    if own := number_in(release.values.get("PORT", ""), MOST_PORT):
        return own
    if release.kind == "buildpack":
        return BUILDPACK_PORT
    if release.ports is None:
        return BUILDPACK_PORT
    return release.ports[0] if release.ports else None


def command_of(release: ReleaseWish, kind: str) -> dict[str, list[str]]:
    """`command` and `args` of the container of a process type."""
    if release.kind == "buildpack":
        return {"command": ["/runner/init"], "args": ["start", kind]}
    line = release.procfile.get(kind, "")
    if kind == "cmd":
        return {"args": line.split()} if line else {}
    return {"command": ["/bin/bash", "-c"], "args": [literal(line)]}


def literal(text: str) -> str:
    """`text` as a container's argument that Kubernetes leaves alone: it would expand `$(NAME)` and halve `$$`."""
    return text.replace("$", "$$")


def quantity(text: str) -> str:
    """A Deis memory amount (`64M`, `1GB`, `512k`) as a Kubernetes one (`64Mi`)."""
    match = _UNIT.match(text)
    number, unit = match.groups()
    return number + {"": "", "b": "", "k": "Ki", "m": "Mi", "g": "Gi"}[unit.lower()]


def resources_of(release: ReleaseWish, kind: str) -> dict[str, dict[str, str]]:
    """Limits, and requests where the app tells them apart (`request/limit`)."""
    resources: dict[str, dict[str, str]] = {}
    for name, wished, convert in (("memory", release.memory, quantity), ("cpu", release.cpu, str)):
        if not (amount := wished.get(kind)):
            continue
        request, slash, limit = str(amount).partition("/")
        resources.setdefault("limits", {})[name] = convert(limit if slash else request)
        if slash:
            resources.setdefault("requests", {})[name] = convert(request)
    return resources


def checks_of(release: ReleaseWish, kind: str) -> dict[str, dict]:
    """The healthchecks that apply to a type: its own, else those of `web/cmd`."""
    own = release.healthcheck.get(kind)
    if own is None and kind in ("web", "cmd"):
        own = release.healthcheck.get("web/cmd")
    return {name: probe for name, probe in (own or {}).items() if probe}


def probes_of(release: ReleaseWish, kind: str, *, first_answer: bool = True) -> dict[str, dict]:
    """The probes of a type. A routed one without any must at least listen on its port, and with `first_answer` also
    answer one HTTP request first (the stack image's /runner/ready asks, through the engine's exec)."""
    port = port_of(release)
    checks = {name: _probe(probe, port) for name, probe in checks_of(release, kind).items()}
    if not checks and kind in ("web", "cmd") and port:
        checks["readinessProbe"] = {"tcpSocket": {"port": port}, **PROBE_DEFAULTS}
        if release.kind == "buildpack" and first_answer:
            checks["startupProbe"] = {"exec": {"command": ["/runner/ready", str(port)]}, **FIRST_ANSWER}
    return checks


def settle_of(probes: dict[str, dict]) -> int:
    """minReadySeconds: none for a type whose first answer is awaited, else long enough to see it crash at start."""
    if "startupProbe" in probes:
        return 0
    return SETTLE if "readinessProbe" in probes else SETTLE_UNSEEN


def _probe(probe: dict, port: int | None) -> dict:
    """A healthcheck as the container's probe; an httpGet without a port asks the process's own."""
    probe = dict(probe)
    if "httpGet" in probe:
        get = {"port": port or BUILDPACK_PORT, "path": "/", **probe["httpGet"]}
        probe["httpGet"] = {key: value for key, value in get.items() if value not in (None, "")}
    if "tcpSocket" in probe:
        probe["tcpSocket"] = {"port": port or BUILDPACK_PORT, **probe["tcpSocket"]}
    return probe
