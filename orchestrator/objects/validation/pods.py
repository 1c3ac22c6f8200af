"""The rules for pods and pod templates. Containers are judged in `containers.py`, volumes in `volumes.py`.

Source: kubernetes pkg/apis/core/validation/validation.go.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.objects import names
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation import containers, metadata, scheduling, volumes
from orchestrator.objects.validation.fields import Problems

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
MAX_INT32 = 2**31 - 1
LONGEST_SYSCTL = 253
SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_MUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def check_pod(problems: Problems, obj: Obj) -> None:
    if not obj.get("spec"):
        problems.required("spec.containers")
        return
    check_pod_spec(problems, obj["spec"], "spec")
    if obj["spec"].get("ephemeralContainers"):
        problems.forbidden("spec.ephemeralContainers", "cannot be set on create")


def check_template(problems: Problems, template: Any, path: str) -> None:
    if not isinstance(template, Mapping):
        problems.required(path)
        return
    meta = template.get("metadata") or {}
    if labels := meta.get("labels"):
        metadata.check_labels(problems, labels, f"{path}.metadata.labels")
    if annotations := meta.get("annotations"):
        metadata.check_annotations(problems, annotations, f"{path}.metadata.annotations")
    spec = template.get("spec") or {}
    check_pod_spec(problems, spec, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        problems.forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def check_pod_spec(problems: Problems, spec: Mapping[str, Any], path: str) -> None:
    known = volumes.check_volumes(problems, spec.get("volumes") or (), f"{path}.volumes")
    containers.check_containers(problems, spec, known, path)
    problems.one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), RESTART_POLICIES)
    problems.one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), DNS_POLICIES)
    _check_dns(problems, spec, path)
    _check_names(problems, spec, path)
    _check_numbers(problems, spec, path)
    _check_security(problems, spec.get("securityContext") or {}, f"{path}.securityContext")
    for at, alias in enumerate(spec.get("hostAliases") or ()):
        check_ip(problems, alias.get("ip", ""), f"{path}.hostAliases[{at}].ip")
        for host in alias.get("hostnames") or ():
            problems.each(f"{path}.hostAliases[{at}].hostnames", host, names.dns_subdomain_problems(host))
    scheduling.check_scheduling(problems, spec, path)


def check_ip(problems: Problems, value: str, path: str) -> None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        problems.invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")


def _check_dns(problems: Problems, spec: Mapping[str, Any], path: str) -> None:
    config = spec.get("dnsConfig") or {}
    servers = config.get("nameservers") or ()
    if spec.get("dnsPolicy") == "None" and not servers:
        problems.required(
            f"{path}.dnsConfig.nameservers",
            "must provide at least one DNS nameserver when `dnsPolicy` is None",
        )
    for at, server in enumerate(servers):
        check_ip(problems, server, f"{path}.dnsConfig.nameservers[{at}]")
    for at, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            problems.required(f"{path}.dnsConfig.options[{at}]")


def _check_names(problems: Problems, spec: Mapping[str, Any], path: str) -> None:
    if account := spec.get("serviceAccountName"):
        problems.each(f"{path}.serviceAccountName", account, names.dns_subdomain_problems(account))
    if node := spec.get("nodeName"):
        problems.each(f"{path}.nodeName", node, names.dns_subdomain_problems(node))
    for field in ("hostname", "subdomain"):
        if value := spec.get(field):
            problems.each(f"{path}.{field}", value, names.dns_label_problems(value))
    if priority := spec.get("priorityClassName"):
        problems.each(f"{path}.priorityClassName", priority, names.dns_subdomain_problems(priority))
    for key, value in (spec.get("nodeSelector") or {}).items():
        problems.each(f"{path}.nodeSelector", key, names.qualified_name_problems(key))
        problems.each(f"{path}.nodeSelector", value, names.label_value_problems(value))
    for at, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if name := secret.get("name"):
            problems.each(f"{path}.imagePullSecrets[{at}].name", name, names.dns_subdomain_problems(name))
    for at, gate in enumerate(spec.get("readinessGates") or ()):
        kind = gate.get("conditionType", "")
        problems.each(f"{path}.readinessGates[{at}].conditionType", kind, names.qualified_name_problems(kind))


def _check_numbers(problems: Problems, spec: Mapping[str, Any], path: str) -> None:
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        problems.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= MAX_INT32:
        problems.invalid(f"{path}.activeDeadlineSeconds", deadline, f"must be between 1 and {MAX_INT32}, inclusive")


def _check_security(problems: Problems, security: Mapping[str, Any], path: str) -> None:
    for field in ("runAsUser", "runAsGroup", "fsGroup"):
        check_id(problems, security.get(field), f"{path}.{field}")
    for at, group in enumerate(security.get("supplementalGroups") or ()):
        check_id(problems, group, f"{path}.supplementalGroups[{at}]")
    _check_sysctls(problems, security.get("sysctls") or (), f"{path}.sysctls")
    policy = security.get("fsGroupChangePolicy")
    if policy is not None and policy not in ("OnRootMismatch", "Always"):
        problems.not_supported(f"{path}.fsGroupChangePolicy", policy, ("OnRootMismatch", "Always"))
    containers.check_seccomp(problems, security.get("seccompProfile"), f"{path}.seccompProfile")


def _check_sysctls(problems: Problems, sysctls: Sequence[Mapping[str, Any]], path: str) -> None:
    seen: set[str] = set()
    for at, entry in enumerate(sysctls):
        name, where = entry.get("name") or "", f"{path}[{at}].name"
        if not name:
            problems.required(where)
        elif len(name) > LONGEST_SYSCTL or not SYSCTL.fullmatch(name):
            problems.invalid(
                where, name, f"must have at most {LONGEST_SYSCTL} characters and match regex ^{SYSCTL.pattern}$"
            )
        elif name in seen:
            problems.duplicate(where, name)
        seen.add(name)


def check_id(problems: Problems, value: Any, path: str) -> None:
    if value is not None and not 0 <= value <= MAX_INT32:
        problems.invalid(path, value, f"must be between 0 and {MAX_INT32}, inclusive")


def check_pod_update(problems: Problems, new: Obj, old: Obj) -> None:
    """Only images, the deadline, added tolerations and lifted gates may change after creation."""
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if spec == before:
        return
    check_pod_spec(problems, spec, "spec")
    for field in ("containers", "initContainers"):
        if len(spec.get(field) or ()) != len(before.get(field) or ()):
            problems.forbidden(f"spec.{field}", "pod updates may not add or remove containers")
            return
    _check_deadline_update(problems, spec, before)
    _check_toleration_update(problems, spec, before)
    if _fixed(spec, before) != _fixed(before, before):
        problems.forbidden("spec", _MUTABLE)


def check_ephemeral_update(problems: Problems, new: Obj, old: Obj) -> None:
    """Containers for debugging may be added, and nothing of those that are there be changed."""
    spec, path = new.get("spec") or {}, "spec.ephemeralContainers"
    containers.check_ephemeral_containers(problems, spec, path)
    now = {container.get("name"): container for container in spec.get("ephemeralContainers") or ()}
    for container in (old.get("spec") or {}).get("ephemeralContainers") or ():
        name = container["name"]
        if name not in now:
            problems.forbidden(path, f"existing ephemeral containers {name!r} may not be removed")
        elif now[name] != container:
            problems.forbidden(path, f"existing ephemeral containers {name!r} may not be changed")


def _check_deadline_update(problems: Problems, spec: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    old, new = before.get("activeDeadlineSeconds"), spec.get("activeDeadlineSeconds")
    if old is not None and (new is None or new > old):
        detail = "must be less than or equal to previous value" if new is not None else (
            "must not update from a positive integer to nil value"
        )  # fmt: skip
        problems.invalid("spec.activeDeadlineSeconds", new, detail)


def _check_toleration_update(problems: Problems, spec: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    kept = [{**item, "tolerationSeconds": None} for item in spec.get("tolerations") or ()]
    for item in before.get("tolerations") or ():
        if {**item, "tolerationSeconds": None} not in kept:
            problems.forbidden(
                "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"
            )
            return


def _fixed(spec: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """`spec` without what may change."""
    fixed = {key: value for key, value in spec.items() if key not in ("activeDeadlineSeconds", "tolerations")}
    for field in ("containers", "initContainers", "ephemeralContainers"):
        fixed[field] = [
            {key: value for key, value in container.items() if key != "image"} for container in spec.get(field) or ()
        ]
    grace = before.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        fixed["terminationGracePeriodSeconds"] = grace
    if before.get("schedulingGates"):
        # a gated pod may lose gates, and gain node selection
        for field in ("schedulingGates", "nodeSelector", "affinity"):
            fixed.pop(field, None)
    return fixed
