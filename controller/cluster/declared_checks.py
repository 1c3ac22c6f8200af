"""The healthchecks of app.json as Kubernetes probes. Pure. Of several checks of one type of probe the first counts."""

from collections.abc import Iterable

from controller.app_json import Check

SHARED = "web/cmd"  # the entry of a config's healthchecks that stands for both


def with_declared(own: dict[str, dict], declared: dict[str, Iterable[Check]]) -> dict[str, dict]:
    """A config's healthchecks, and those of app.json for the process types that the config says nothing of."""
    taken = {*own, *(("web", "cmd") if SHARED in own else ())}
    return {kind: probes_from(checks) for kind, checks in declared.items() if kind not in taken} | own


def probes_from(checks: Iterable[Check]) -> dict[str, dict]:
    probes: dict[str, dict] = {}
    for check in checks:
        probes.setdefault(f"{check.type}Probe", probe_from(check))
    return probes


def probe_from(check: Check) -> dict:
    """`check` as a probe; a port that isn't said is filled in when it is rendered."""
    probe: dict = {
        "failureThreshold": check.attempts,
        "periodSeconds": check.wait,
        "timeoutSeconds": check.timeout,
        "successThreshold": 1,
        "initialDelaySeconds": check.initial_delay,
    }
    if check.path:
        get: dict = {"path": check.path, "port": check.port, "scheme": check.scheme}
        if check.headers:
            get["httpHeaders"] = [{"name": name, "value": value} for name, value in check.headers]
        return probe | {"httpGet": {key: value for key, value in get.items() if value}}
    if check.command:
        return probe | {"exec": {"command": list(check.command)}}
    if check.listening:
        return probe | {"tcpSocket": {"port": check.port} if check.port else {}}
    return probe | {"exec": {"command": ["true"]}, "initialDelaySeconds": check.uptime}
