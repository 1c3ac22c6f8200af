"""The rules for what makes and scales pods.

Source: kubernetes pkg/apis/{apps,batch,autoscaling,policy}/validation.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from typing import Any

from orchestrator.objects import names
from orchestrator.objects.cron import cron_problem
from orchestrator.objects.meta import Obj
from orchestrator.objects.selectors import label_selector_from_map, label_selector_from_object
from orchestrator.objects.validation import volumes
from orchestrator.objects.validation.fields import Problems
from orchestrator.objects.validation.pods import check_template
from orchestrator.objects.validation.selectors import check_label_selector

_MISMATCH = "`selector` does not match template `labels`"
MAX_INDEXED = 100_000


def _spec(obj: Obj) -> dict[str, Any]:
    return obj.get("spec") or {}


def _template_labels(spec: Mapping[str, Any]) -> dict[str, str]:
    return ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}


def check_percent_or_count(problems: Problems, value: Any, path: str, *, above_hundred: bool = True) -> None:
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+)%", value)
        if found is None:
            problems.invalid(path, value, "a valid percent string must be a numeric string followed by an ending '%' "
                             "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')")  # fmt: skip
        elif not above_hundred and int(found[1]) > 100:
            problems.invalid(path, value, "must not be greater than 100%")
    elif value is not None:
        problems.not_negative(path, value)


def _is_zero(value: Any) -> bool:
    return value in (0, "0%", "0", None) or (isinstance(value, str) and value.rstrip("%").strip("0") == "")


def _check_owner(problems: Problems, obj: Obj, *, policies: tuple[str, ...] = ("Always",)) -> None:
    """What every workload with a selector and a template shares."""
    spec = _spec(obj)
    selector = spec.get("selector")
    problems.not_negative("spec.replicas", spec.get("replicas"))
    problems.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    if obj["kind"] != "ReplicaSet":
        problems.not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    if selector is None:
        problems.required("spec.selector")
    else:
        check_label_selector(problems, selector, "spec.selector")
        if not selector.get("matchLabels") and not selector.get("matchExpressions"):
            problems.invalid("spec.selector", selector, f"empty selector is invalid for {obj['kind'].lower()}")
        elif _selectable(selector) and not label_selector_from_object(selector).matches(_template_labels(spec)):
            problems.invalid("spec.template.metadata.labels", _template_labels(spec), _MISMATCH)
    check_template(problems, _with_claims(spec), "spec.template")
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy")
    if policy and policy not in policies:
        problems.not_supported("spec.template.spec.restartPolicy", policy, policies)


def _with_claims(spec: Mapping[str, Any]) -> Any:
    """The pod template with a volume for each of a StatefulSet's claims, as its pods will have it."""
    template = spec.get("template")
    pod = template.get("spec") if isinstance(template, Mapping) else None
    if not isinstance(template, Mapping) or not isinstance(pod, Mapping) or not spec.get("volumeClaimTemplates"):
        return template
    own = list(pod.get("volumes") or ())
    known = {volume.get("name") for volume in own}
    claims = {(claim.get("metadata") or {}).get("name") for claim in spec["volumeClaimTemplates"]}
    extra = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims - known if name]
    return {**template, "spec": {**pod, "volumes": own + extra}}


def _selectable(selector: Mapping[str, Any]) -> bool:
    return all(
        item.get("operator") in ("Exists", "DoesNotExist")
        or (item.get("operator") in ("In", "NotIn") and item.get("values"))
        for item in selector.get("matchExpressions") or ()
    )


def check_deployment(problems: Problems, obj: Obj) -> None:
    _check_owner(problems, obj)
    spec = _spec(obj)
    strategy = spec.get("strategy") or {}
    kind = strategy.get("type")
    if kind == "Recreate":
        if strategy.get("rollingUpdate") is not None:
            problems.forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif kind == "RollingUpdate":
        _check_rolling(problems, strategy.get("rollingUpdate") or {}, "spec.strategy.rollingUpdate", both_zero=False)
    else:
        problems.not_supported("spec.strategy.type", kind, ("Recreate", "RollingUpdate"))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None:
        problems.not_negative("spec.progressDeadlineSeconds", deadline)
        if deadline <= (spec.get("minReadySeconds") or 0):
            problems.invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _check_rolling(problems: Problems, rolling: Mapping[str, Any], path: str, *, both_zero: bool) -> None:
    check_percent_or_count(problems, rolling.get("maxUnavailable"), f"{path}.maxUnavailable", above_hundred=False)
    check_percent_or_count(problems, rolling.get("maxSurge"), f"{path}.maxSurge")
    if not both_zero and _is_zero(rolling.get("maxUnavailable")) and _is_zero(rolling.get("maxSurge")):
        problems.invalid(f"{path}.maxUnavailable", rolling.get("maxUnavailable"), "may not be 0 when `maxSurge` is 0")


def check_selector_update(problems: Problems, new: Obj, old: Obj) -> None:
    problems.unchanged("spec.selector", _spec(new).get("selector"), _spec(old).get("selector"))


def check_replica_set(problems: Problems, obj: Obj) -> None:
    _check_owner(problems, obj)


def check_replication_controller(problems: Problems, obj: Obj) -> None:
    spec = _spec(obj)
    problems.not_negative("spec.replicas", spec.get("replicas"))
    problems.not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    selector = spec.get("selector")
    if not selector:
        problems.required("spec.selector")
    elif spec.get("template") and not label_selector_from_map(selector).matches(_template_labels(spec)):
        problems.invalid("spec.template.metadata.labels", _template_labels(spec), _MISMATCH)
    check_template(problems, spec.get("template"), "spec.template")


def check_stateful_set(problems: Problems, obj: Obj) -> None:
    _check_owner(problems, obj)
    spec = _spec(obj)
    problems.one_of("spec.podManagementPolicy", spec.get("podManagementPolicy"), ("OrderedReady", "Parallel"))
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type") not in ("RollingUpdate", "OnDelete"):
        problems.invalid("spec.updateStrategy", strategy, "must be 'RollingUpdate' or 'OnDelete'")
    elif strategy["type"] == "OnDelete" and strategy.get("rollingUpdate") is not None:
        problems.invalid(
            "spec.updateStrategy.rollingUpdate",
            strategy["rollingUpdate"],
            "only allowed for updateStrategy 'RollingUpdate'",
        )
    rolling = strategy.get("rollingUpdate") or {}
    problems.not_negative("spec.updateStrategy.rollingUpdate.partition", rolling.get("partition"))
    for at, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        name = (claim.get("metadata") or {}).get("name") or ""
        path = f"spec.volumeClaimTemplates[{at}]"
        if not name:
            problems.required(f"{path}.metadata.name")
        volumes.check_claim_spec(problems, claim.get("spec") or {}, f"{path}.spec")
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        problems.one_of(
            f"spec.persistentVolumeClaimRetentionPolicy.{field}", retention.get(field), ("Delete", "Retain")
        )
    if start := (spec.get("ordinals") or {}).get("start"):
        problems.not_negative("spec.ordinals.start", start)


_STATEFUL_MUTABLE = (
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
)  # fmt: skip


def check_stateful_set_update(problems: Problems, new: Obj, old: Obj) -> None:
    fixed, kept = (
        {key: value for key, value in _spec(obj).items() if key not in _STATEFUL_MUTABLE} for obj in (new, old)
    )
    if _without_status(fixed) != _without_status(kept):
        problems.forbidden(
            "spec",
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
            "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        )


def _without_status(spec: dict[str, Any]) -> dict[str, Any]:
    claims = spec.get("volumeClaimTemplates")
    if not claims:
        return spec
    return spec | {"volumeClaimTemplates": [{k: v for k, v in claim.items() if k != "status"} for claim in claims]}


def check_daemon_set(problems: Problems, obj: Obj) -> None:
    _check_owner(problems, obj)
    strategy = _spec(obj).get("updateStrategy") or {}
    kind = strategy.get("type")
    if kind not in ("OnDelete", "RollingUpdate"):
        problems.not_supported("spec.updateStrategy.type", kind, ("OnDelete", "RollingUpdate"))
    elif kind == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        path = "spec.updateStrategy.rollingUpdate"
        _check_rolling(problems, rolling, path, both_zero=True)
        unavailable, surge = _is_zero(rolling.get("maxUnavailable")), _is_zero(rolling.get("maxSurge"))
        if unavailable and surge:
            problems.required(f"{path}.maxUnavailable", "cannot be 0 when maxSurge is 0")
        elif not unavailable and not surge:
            problems.invalid(f"{path}.maxSurge", rolling["maxSurge"], "may not be set when maxUnavailable is non-zero")


def check_job(problems: Problems, obj: Obj) -> None:
    spec = _spec(obj)
    check_job_spec(problems, spec, "spec")
    selector = spec.get("selector")
    if selector is None:
        problems.required("spec.selector")
    elif _selectable(selector) and not label_selector_from_object(selector).matches(_template_labels(spec)):
        problems.invalid("spec.template.metadata.labels", _template_labels(spec), _MISMATCH)
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is not None:
        last = f"{obj['metadata'].get('name', '')}-{max(spec['completions'] - 1, 0)}"
        if names.dns_label_problems(last):
            problems.invalid(
                "metadata.name",
                obj["metadata"].get("name", ""),
                f"will not able to create pod with invalid DNS label: {last}",
            )


def check_job_spec(problems: Problems, spec: Mapping[str, Any], path: str) -> None:
    for field in (
        "parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
        "backoffLimitPerIndex", "maxFailedIndexes",
    ):  # fmt: skip
        problems.not_negative(f"{path}.{field}", spec.get(field))
    mode = spec.get("completionMode")
    if mode not in (None, "NonIndexed", "Indexed"):
        problems.not_supported(f"{path}.completionMode", mode, ("Indexed", "NonIndexed"))
    if mode == "Indexed":
        if spec.get("completions") is None:
            problems.required(f"{path}.completions", "when completion mode is Indexed")
        if (spec.get("parallelism") or 0) > MAX_INDEXED:
            problems.invalid(
                f"{path}.parallelism",
                spec["parallelism"],
                f"must be less than or equal to {MAX_INDEXED} when completion mode is Indexed",
            )
    elif spec.get("backoffLimitPerIndex") is not None:
        problems.invalid(
            f"{path}.backoffLimitPerIndex", spec["backoffLimitPerIndex"], "requires indexed completion mode"
        )
    check_template(problems, spec.get("template"), f"{path}.template")
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy")
    if policy == "Always":
        problems.required(f"{path}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')
    _check_failure_policy(problems, spec.get("podFailurePolicy"), policy, f"{path}.podFailurePolicy")


def _check_failure_policy(problems: Problems, policy: Mapping[str, Any] | None, restart: Any, path: str) -> None:
    if policy is None:
        return
    if restart != "Never":
        where = path.replace("podFailurePolicy", "template.spec.restartPolicy")
        problems.invalid(where, restart, 'only "Never" is supported when podFailurePolicy is specified')
    for at, rule in enumerate(policy.get("rules") or ()):
        where = f"{path}.rules[{at}]"
        problems.one_of(f"{where}.action", rule.get("action"), ("Count", "FailIndex", "FailJob", "Ignore"))
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
        if (codes is None) == (not conditions):
            problems.invalid(where, "", "specifying one of OnExitCodes and OnPodConditions is required" if codes is None
                             else "specifying both OnExitCodes and OnPodConditions is not supported")  # fmt: skip
        if codes is not None:
            problems.one_of(f"{where}.onExitCodes.operator", codes.get("operator"), ("In", "NotIn"))
            if not codes.get("values"):
                problems.invalid(f"{where}.onExitCodes.values", [], "at least one value is required")
            elif codes.get("operator") == "In" and 0 in codes["values"]:
                problems.invalid(f"{where}.onExitCodes.values[0]", 0, "must not be 0 for the In operator")


def check_job_update(problems: Problems, new: Obj, old: Obj) -> None:
    spec, before = _spec(new), _spec(old)
    if spec.get("completions") != before.get("completions"):
        elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
        if not elastic:
            problems.invalid("spec.completions", spec.get("completions"), "field is immutable")
    problems.unchanged("spec.selector", spec.get("selector"), before.get("selector"))
    if spec.get("template") != before.get("template") and not _suspended_change(spec, before, old):
        problems.invalid("spec.template", spec.get("template"), "field is immutable")
    for field in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        problems.unchanged(f"spec.{field}", spec.get(field), before.get(field))


def _suspended_change(spec: Mapping[str, Any], before: Mapping[str, Any], old: Obj) -> bool:
    """A job that has not started may still be steered to other nodes."""
    if not before.get("suspend") or (old.get("status") or {}).get("startTime"):
        return False
    steering = ("nodeSelector", "affinity", "tolerations", "schedulingGates")

    def fixed(owner: Mapping[str, Any]) -> dict[str, Any]:
        template = owner.get("template") or {}
        meta = {k: v for k, v in (template.get("metadata") or {}).items() if k not in ("labels", "annotations")}
        inner = {k: v for k, v in (template.get("spec") or {}).items() if k not in steering}
        return {"metadata": meta, "spec": inner}

    return fixed(spec) == fixed(before)


def check_cron_job(problems: Problems, obj: Obj) -> None:
    spec = _spec(obj)
    schedule = spec.get("schedule") or ""
    if not schedule:
        problems.required("spec.schedule")
    elif schedule.startswith(("TZ=", "CRON_TZ=")):
        problems.invalid("spec.schedule", schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead")
    elif problem := cron_problem(schedule):
        problems.invalid("spec.schedule", schedule, problem)
    zone = spec.get("timeZone")
    if zone is not None:
        _check_zone(problems, zone)
    problems.not_negative("spec.startingDeadlineSeconds", spec.get("startingDeadlineSeconds"))
    problems.one_of("spec.concurrencyPolicy", spec.get("concurrencyPolicy"), ("Allow", "Forbid", "Replace"))
    for field in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        problems.not_negative(f"spec.{field}", spec.get(field))
    check_job_spec(problems, (spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec")
    name = obj["metadata"].get("name") or ""
    if len(name) > 52:
        problems.invalid("metadata.name", name, "must be no more than 52 characters")


def _check_zone(problems: Problems, zone: str) -> None:
    if not zone:
        problems.invalid("spec.timeZone", zone, "timeZone must be nil or non-empty string")
        return
    if zone.lower() == "local":
        problems.invalid(
            "spec.timeZone", zone, "timeZone must be an explicit time zone as defined in the IANA tz database"
        )
        return
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        problems.invalid("spec.timeZone", zone, f"unknown time zone {zone}")


_SCALE_POLICIES = ("Max", "Min", "Disabled")


def check_autoscaler(problems: Problems, obj: Obj) -> None:
    spec = _spec(obj)
    target = spec.get("scaleTargetRef") or {}
    for field in ("kind", "name"):
        if not target.get(field):
            problems.required(f"spec.scaleTargetRef.{field}")
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if least is not None and least < 1:
        problems.invalid("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        problems.invalid("spec.maxReplicas", most, "must be greater than 0")
    if least is not None and most < least:
        problems.invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    for at, metric in enumerate(spec.get("metrics") or ()):
        _check_metric(problems, metric, f"spec.metrics[{at}]")
    for name in ("scaleUp", "scaleDown"):
        if rules := (spec.get("behavior") or {}).get(name):
            _check_scaling_rules(problems, rules, f"spec.behavior.{name}")


_METRIC_FIELDS = {
    "Resource": "resource", "ContainerResource": "containerResource", "Pods": "pods", "Object": "object",
    "External": "external",
}  # fmt: skip


def _check_metric(problems: Problems, metric: Mapping[str, Any], path: str) -> None:
    kind = metric.get("type") or ""
    if not kind:
        problems.required(f"{path}.type", "must specify a metric source type")
        return
    field = _METRIC_FIELDS.get(kind)
    if field is None:
        problems.not_supported(f"{path}.type", kind, _METRIC_FIELDS)
        return
    source = metric.get(field)
    if source is None:
        problems.required(f"{path}.{field}", f"must populate information for the given metric source {kind}")
        return
    target = source.get("target") or {}
    where = f"{path}.{field}.target"
    problems.one_of(f"{where}.type", target.get("type"), ("AverageValue", "Utilization", "Value"))
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        problems.invalid(f"{where}.averageUtilization", utilization, "must be greater than 0")
    if all(target.get(key) is None for key in ("averageUtilization", "averageValue", "value")):
        problems.required(where, "must set either a target raw value or a target utilization")
    if field in ("resource", "containerResource") and not source.get("name"):
        problems.required(f"{path}.{field}.name", "must specify a resource name")


def _check_scaling_rules(problems: Problems, rules: Mapping[str, Any], path: str) -> None:
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and not 0 <= window <= 3600:
        problems.invalid(f"{path}.stabilizationWindowSeconds", window, "must be between 0 and 3600, inclusive")
    if rules.get("selectPolicy") not in (None, *_SCALE_POLICIES):
        problems.not_supported(f"{path}.selectPolicy", rules["selectPolicy"], _SCALE_POLICIES)
    for at, policy in enumerate(rules.get("policies") or ()):
        where = f"{path}.policies[{at}]"
        problems.one_of(f"{where}.type", policy.get("type"), ("Percent", "Pods"))
        if policy.get("value", 0) <= 0:
            problems.invalid(f"{where}.value", policy.get("value", 0), "must be greater than zero")
        if not 0 < policy.get("periodSeconds", 0) <= 1800:
            problems.invalid(f"{where}.periodSeconds", policy.get("periodSeconds", 0), "must be greater than zero")


def check_disruption_budget(problems: Problems, obj: Obj) -> None:
    spec = _spec(obj)
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        problems.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for field in ("minAvailable", "maxUnavailable"):
        check_percent_or_count(problems, spec.get(field), f"spec.{field}", above_hundred=False)
    if spec.get("selector") is not None:
        check_label_selector(problems, spec["selector"], "spec.selector")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in ("AlwaysAllow", "IfHealthyBudget"):
        problems.not_supported("spec.unhealthyPodEvictionPolicy", policy, ("AlwaysAllow", "IfHealthyBudget"))
