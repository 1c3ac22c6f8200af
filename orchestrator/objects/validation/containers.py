"""The rules for containers: names, images, ports, environment, mounts, probes, resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.objects import names, quantity
from orchestrator.objects.pod_status import is_sidecar
from orchestrator.objects.validation.fields import Problems

PROTOCOLS = ("TCP", "UDP", "SCTP")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
_HOOKS = ("exec", "httpGet", "tcpSocket", "sleep")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NOT_EPHEMERAL = ("ports", *_PROBES, "lifecycle", "resources", "restartPolicy", "resizePolicy")
_PORT_RANGE = "must be between 1 and 65535, inclusive"
_STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_WHOLE_UNITS = "must be an integer"


def check_containers(problems: Problems, spec: Mapping[str, Any], volumes: Mapping[str, Any], path: str) -> None:
    if not spec.get("containers"):
        problems.required(f"{path}.containers")
    seen: set[str] = set()
    host_ports: set[tuple[Any, ...]] = set()
    for field in ("initContainers", "containers"):
        for at, container in enumerate(spec.get(field) or ()):
            where = f"{path}.{field}[{at}]"
            _check_name(problems, container.get("name", ""), seen, where)
            _check_container(problems, container, volumes, where, spec)
            if field == "initContainers":
                _check_init_container(problems, container, where)
            elif container.get("restartPolicy") is not None and container.get("restartPolicyRules") is None:
                if container["restartPolicy"] not in ("Always", "OnFailure", "Never"):
                    problems.not_supported(
                        f"{where}.restartPolicy", container["restartPolicy"], ("Always", "OnFailure", "Never")
                    )
            _check_host_ports(problems, container, host_ports, where)


def check_ephemeral_containers(problems: Problems, spec: Mapping[str, Any], path: str) -> None:
    """Names are shared with the pod's other containers, which alone may have ports, probes, hooks and resources."""
    volumes = {volume["name"]: volume for volume in spec.get("volumes") or () if volume.get("name")}
    others = [c.get("name", "") for field in ("initContainers", "containers") for c in spec.get(field) or ()]
    seen = set(others)
    for at, container in enumerate(spec.get("ephemeralContainers") or ()):
        where = f"{path}[{at}]"
        _check_name(problems, container.get("name", ""), seen, where)
        _check_container(problems, container, volumes, where, spec)
        for field in _NOT_EPHEMERAL:
            if container.get(field):
                problems.forbidden(f"{where}.{field}", "cannot be set for an Ephemeral Container")
        target = container.get("targetContainerName")
        if target and target not in others:
            problems.not_found(f"{where}.targetContainerName", target)


def _check_name(problems: Problems, name: str, seen: set[str], path: str) -> None:
    if not name:
        problems.required(f"{path}.name")
        return
    problems.each(f"{path}.name", name, names.dns_label_problems(name))
    if name in seen:
        problems.duplicate(f"{path}.name", name)
    seen.add(name)


def _check_container(
    problems: Problems, container: Mapping[str, Any], volumes: Mapping[str, Any], path: str, spec: Mapping[str, Any]
) -> None:
    image = container.get("image") or ""
    if not image:
        problems.required(f"{path}.image")
    elif image != image.strip():
        problems.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    problems.one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), PULL_POLICIES)
    policy = container.get("terminationMessagePolicy")
    if policy not in ("File", "FallbackToLogsOnError"):
        problems.not_supported(f"{path}.terminationMessagePolicy", policy, ("File", "FallbackToLogsOnError"))
    if ports := container.get("ports"):
        _check_ports(problems, ports, f"{path}.ports", bool(spec.get("hostNetwork")))
    if env := container.get("env"):
        _check_env(problems, env, f"{path}.env")
    if sources := container.get("envFrom"):
        _check_env_from(problems, sources, f"{path}.envFrom")
    if mounts := container.get("volumeMounts"):
        _check_mounts(problems, mounts, volumes, f"{path}.volumeMounts")
    check_resources(problems, container.get("resources") or {}, f"{path}.resources")
    for name in _PROBES:
        if name in container:
            _check_probe(problems, container[name], f"{path}.{name}", name)
    for hook, handler in (container.get("lifecycle") or {}).items():
        if isinstance(handler, Mapping):
            _check_handler(problems, handler, f"{path}.lifecycle.{hook}", _HOOKS)
    if security := container.get("securityContext"):
        _check_security(problems, security, f"{path}.securityContext")


def _check_init_container(problems: Problems, container: Mapping[str, Any], path: str) -> None:
    policy = container.get("restartPolicy")
    if policy is not None and policy not in ("Always", "OnFailure", "Never"):
        problems.not_supported(f"{path}.restartPolicy", policy, ("Always",))
    if not is_sidecar(container):
        for field in ("lifecycle", *_PROBES):
            if container.get(field):
                problems.forbidden(f"{path}.{field}", "may not be set for init containers without restartPolicy=Always")


def _check_ports(problems: Problems, ports: Sequence[Mapping[str, Any]], path: str, host_network: bool) -> None:
    seen: set[str] = set()
    for at, port in enumerate(ports):
        where = f"{path}[{at}]"
        if name := port.get("name"):
            problems.each(f"{where}.name", name, names.port_name_problems(name))
            if name in seen:
                problems.duplicate(f"{where}.name", name)
            seen.add(name)
        number = port.get("containerPort") or 0
        if not number:
            problems.required(f"{where}.containerPort")
        else:
            check_port(problems, number, f"{where}.containerPort")
        host = port.get("hostPort") or 0
        if host:
            check_port(problems, host, f"{where}.hostPort")
            if host_network and host != number:
                problems.invalid(f"{where}.hostPort", host, "must match `containerPort` when `hostNetwork` is true")
        problems.one_of(f"{where}.protocol", port.get("protocol"), PROTOCOLS)


def check_port(problems: Problems, value: Any, path: str) -> None:
    """A number in the port range; for IntOrString also a valid name."""
    if isinstance(value, str):
        problems.each(path, value, names.port_name_problems(value))
    elif not isinstance(value, int) or not 1 <= value <= 65535:
        problems.invalid(path, value, _PORT_RANGE)


def _check_host_ports(problems: Problems, container: Mapping[str, Any], seen: set[tuple[Any, ...]], path: str) -> None:
    for at, port in enumerate(container.get("ports") or ()):
        if host := port.get("hostPort"):
            key = (port.get("protocol"), port.get("hostIP") or "", host)
            if key in seen:
                problems.duplicate(f"{path}.ports[{at}].hostPort", "/".join(map(str, key)))
            seen.add(key)


_FIELD_PATHS = (
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
    "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_RESOURCE_FIELDS = (
    "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
    "requests.memory",
)  # fmt: skip


def _check_env(problems: Problems, env: Sequence[Mapping[str, Any]], path: str) -> None:
    for at, variable in enumerate(env):
        where = f"{path}[{at}]"
        name = variable.get("name") or ""
        if not name:
            problems.required(f"{where}.name")
        else:
            problems.each(f"{where}.name", name, names.env_name_problems(name))
        if (source := variable.get("valueFrom")) is not None:
            if variable.get("value"):
                problems.invalid(f"{where}.valueFrom", "", "may not be specified when `value` is not empty")
            _check_env_source(problems, source, f"{where}.valueFrom")


def _check_env_source(problems: Problems, source: Mapping[str, Any], path: str) -> None:
    given = [key for key, value in source.items() if value is not None]
    if not given:
        problems.invalid(
            path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        )
    elif len(given) > 1:
        problems.invalid(path, "", "may not have more than one field specified at a time")
    if field := source.get("fieldRef"):
        check_field_path(problems, field, f"{path}.fieldRef", _FIELD_PATHS)
    if field := source.get("resourceFieldRef"):
        check_resource_field(problems, field, f"{path}.resourceFieldRef")
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if (reference := source.get(kind)) is not None:
            if not reference.get("name"):
                problems.required(f"{path}.{kind}.name")
            if not reference.get("key"):
                problems.required(f"{path}.{kind}.key")
            else:
                problems.each(f"{path}.{kind}.key", reference["key"], names.config_key_problems(reference["key"]))


def check_field_path(problems: Problems, reference: Mapping[str, Any], path: str, allowed: Sequence[str]) -> None:
    field = reference.get("fieldPath") or ""
    if not field:
        problems.required(f"{path}.fieldPath")
        return
    base, bracket, _ = field.partition("['")
    subscripted = bracket and base in ("metadata.annotations", "metadata.labels") and field.endswith("']")
    if not subscripted and field not in allowed:
        problems.not_supported(f"{path}.fieldPath", field, allowed)


def check_resource_field(problems: Problems, reference: Mapping[str, Any], path: str) -> None:
    name = reference.get("resource") or ""
    if not name:
        problems.required(f"{path}.resource")
    elif name not in _RESOURCE_FIELDS and not name.startswith(("limits.hugepages-", "requests.hugepages-")):
        problems.not_supported(f"{path}.resource", name, _RESOURCE_FIELDS)


def _check_env_from(problems: Problems, sources: Sequence[Mapping[str, Any]], path: str) -> None:
    for at, source in enumerate(sources):
        where = f"{path}[{at}]"
        if prefix := source.get("prefix"):
            problems.each(f"{where}.prefix", prefix, names.env_name_problems(prefix))
        given = [kind for kind in ("configMapRef", "secretRef") if source.get(kind) is not None]
        if len(given) != 1:
            detail = "may not have more than one field specified at a time" if given else (
                "must specify one of: `configMapRef` or `secretRef`"
            )  # fmt: skip
            problems.invalid(where, "", detail)
        for kind in given:
            if not source[kind].get("name"):
                problems.required(f"{where}.{kind}.name")


def _check_mounts(
    problems: Problems, mounts: Sequence[Mapping[str, Any]], volumes: Mapping[str, Any], path: str
) -> None:
    seen: set[str] = set()
    for at, mount in enumerate(mounts):
        where = f"{path}[{at}]"
        name, target = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            problems.required(f"{where}.name")
        elif name not in volumes:
            problems.not_found(f"{where}.name", name)
        if not target:
            problems.required(f"{where}.mountPath")
        elif target in seen:
            problems.invalid(f"{where}.mountPath", target, "must be unique")
        seen.add(target)
        for field in ("subPath", "subPathExpr"):
            if value := mount.get(field):
                check_local_path(problems, value, f"{where}.{field}")
        if mount.get("subPath") and mount.get("subPathExpr"):
            problems.invalid(
                f"{where}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive"
            )


def check_local_path(problems: Problems, value: str, path: str) -> None:
    if value.startswith("/"):
        problems.invalid(path, value, "must be a relative path")
    if ".." in value.split("/"):
        problems.invalid(path, value, "must not contain '..'")


def check_resources(problems: Problems, resources: Mapping[str, Any], path: str) -> None:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for field, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            check_resource_name(problems, name, f"{path}.{field}")
            check_amount(problems, amount, f"{path}.{field}.{name}")
    for name, amount in requests.items():
        limit = limits.get(name)
        if limit is not None and quantity.compare(amount, limit) > 0:
            problems.invalid(f"{path}.requests", amount, f"must be less than or equal to {name} limit of {limit}")
        elif "/" in name and not name.startswith("kubernetes.io/"):
            if limit is None:
                problems.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
            elif quantity.compare(amount, limit) != 0:
                problems.invalid(f"{path}.requests", amount, f"must be equal to {name} limit of {limit}")


def check_resource_name(problems: Problems, name: str, path: str) -> None:
    problems.each(path, name, names.qualified_name_problems(name))
    if "/" not in name and name not in _STANDARD_RESOURCES and not name.startswith("hugepages-"):
        problems.invalid(path, name, "must be a standard resource type or fully qualified")
        problems.invalid(path, name, "must be a standard resource for containers")


def check_amount(problems: Problems, amount: Any, path: str) -> None:
    if quantity.parse_quantity(amount).nanos < 0:
        problems.invalid(path, amount, "must be greater than or equal to 0")


def _check_probe(problems: Problems, probe: Mapping[str, Any], path: str, kind: str) -> None:
    _check_handler(problems, probe, path, _HANDLERS)
    for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        problems.not_negative(f"{path}.{field}", probe.get(field))
    if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        problems.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None:
        if kind == "readinessProbe":
            problems.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
        elif grace <= 0:
            problems.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")


def _check_handler(problems: Problems, handler: Mapping[str, Any], path: str, allowed: Sequence[str]) -> None:
    given = [kind for kind in allowed if handler.get(kind) is not None]
    if not given:
        problems.required(path, "must specify a handler type")
    for extra in given[1:]:
        problems.forbidden(f"{path}.{extra}", "may not specify more than 1 handler type")
    for kind in given[:1]:
        action = handler[kind]
        if kind == "exec" and not action.get("command"):
            problems.required(f"{path}.exec.command")
        elif kind in ("httpGet", "tcpSocket", "grpc"):
            check_port(problems, action.get("port", 0), f"{path}.{kind}.port")
        if kind == "httpGet":
            problems.one_of(f"{path}.httpGet.scheme", action.get("scheme"), ("HTTP", "HTTPS"))


def _check_security(problems: Problems, security: Mapping[str, Any], path: str) -> None:
    for field in ("runAsUser", "runAsGroup"):
        value = security.get(field)
        if value is not None and not 0 <= value < 2**31:
            problems.invalid(f"{path}.{field}", value, f"must be between 0 and {2**31 - 1}, inclusive")
    if security.get("allowPrivilegeEscalation") is False:
        if security.get("privileged"):
            problems.invalid(
                path, dict(security), "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            )
        if "CAP_SYS_ADMIN" in ((security.get("capabilities") or {}).get("add") or ()):
            problems.invalid(
                path,
                dict(security),
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
            )
    check_seccomp(problems, security.get("seccompProfile"), f"{path}.seccompProfile")


def check_seccomp(problems: Problems, profile: Mapping[str, Any] | None, path: str) -> None:
    if profile is None:
        return
    kind = profile.get("type")
    problems.one_of(f"{path}.type", kind, ("Localhost", "RuntimeDefault", "Unconfined"))
    if kind == "Localhost" and not profile.get("localhostProfile"):
        problems.required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost ")
    elif kind != "Localhost" and profile.get("localhostProfile"):
        problems.invalid(
            f"{path}.localhostProfile", profile["localhostProfile"], "can only be set when seccomp type is Localhost"
        )
