"""What a Job should do next: pure functions of the Job and its pods.

Source: kubernetes pkg/controller/job/{job_controller,indexed_job_utils,backoff_utils,pod_failure_policy}.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from orchestrator.machinery import pods as podlib
from orchestrator.machinery.clock import parse_time
from orchestrator.objects.meta import Obj, annotations_of, is_deleting, uid_of

INDEX = "batch.kubernetes.io/job-completion-index"
TRACKING = "batch.kubernetes.io/job-tracking"
INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"
FIRST_BACKOFF, MOST_BACKOFF = 10.0, 600.0  # seconds between a failed pod and its replacement
UNLIMITED = 2**31 - 1


@dataclass(frozen=True)
class Outcome:
    """How the Job ended."""

    kind: str  # Complete or Failed
    reason: str
    message: str


@dataclass
class JobView:
    """The Job's pods, sorted by what they mean for it."""

    job: Obj
    live: list[Obj] = field(default_factory=list)
    """Neither finished nor being deleted."""
    ending: list[Obj] = field(default_factory=list)
    """Being deleted, not finished."""
    succeeded: list[Obj] = field(default_factory=list)
    failed: list[Obj] = field(default_factory=list)
    """Ended and in no count yet, like `succeeded`; also those being deleted, unless replacements wait for their end."""
    noted: list[Obj] = field(default_factory=list)
    """In `status.uncountedTerminatedPods`: counted once their finalizer is gone."""
    past: list[Obj] = field(default_factory=list)
    """Every finished pod there still is."""

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.job["spec"]
        return spec

    @property
    def status(self) -> dict[str, Any]:
        return self.job.get("status") or {}

    @property
    def is_indexed(self) -> bool:
        return self.spec.get("completionMode") == "Indexed"

    @property
    def completions(self) -> int | None:
        return self.spec.get("completions")

    @property
    def parallelism(self) -> int:
        value = self.spec.get("parallelism")
        return 1 if value is None else int(value)

    @property
    def backoff_limit(self) -> int:
        value = self.spec.get("backoffLimit")
        if value is None:
            return UNLIMITED if self.spec.get("backoffLimitPerIndex") is not None else 6
        return int(value)

    @property
    def total_succeeded(self) -> int:
        if self.is_indexed:
            return len(completed_indexes(self))
        return int(self.status.get("succeeded") or 0) + len(self.uncounted("succeeded")) + len(self.succeeded)

    @property
    def total_failed(self) -> int:
        """Without those that a rule says to ignore."""
        new = sum(failure_action(self, pod)[0] != "Ignore" for pod in self.failed)
        return int(self.status.get("failed") or 0) + len(self.uncounted("failed")) + new

    @property
    def waits_for_end(self) -> bool:
        """Whether a pod that is ending is replaced only when it has ended."""
        policy = self.spec.get("podReplacementPolicy")
        return policy == "Failed" or (policy is None and bool(self.spec.get("podFailurePolicy")))

    def uncounted(self, kind: str) -> list[str]:
        return (self.status.get("uncountedTerminatedPods") or {}).get(kind) or []


def view_of(job: Obj, pods: Iterable[Obj]) -> JobView:
    view = JobView(job)
    noted = {*view.uncounted("succeeded"), *view.uncounted("failed")}
    for pod in pods:
        phase = podlib.phase_of(pod)
        if podlib.is_finished(pod):
            view.past.append(pod)
        elif is_deleting(pod):
            view.ending.append(pod)
        else:
            view.live.append(pod)
        if TRACKING not in (pod["metadata"].get("finalizers") or ()):
            continue
        if uid_of(pod) in noted:
            view.noted.append(pod)
        elif phase == "Succeeded":
            view.succeeded.append(pod)
        elif phase == "Failed" or (is_deleting(pod) and not (view.waits_for_end and pod["spec"].get("nodeName"))):
            view.failed.append(pod)
    return view


# indexes


def index_of(pod: Obj) -> int | None:
    text = annotations_of(pod).get(INDEX, "")
    return int(text) if text.isdigit() else None


def parse_indexes(text: str | None) -> set[int]:
    """`0-2,5,6` as numbers."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            found.update(range(int(first), int(last or first) + 1))
    return found


def format_indexes(indexes: Iterable[int]) -> str:
    """`0-2,5,6`: only three and more in a row become a range, as in Kubernetes."""
    ranges: list[tuple[int, int]] = []
    for index in sorted(indexes):
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1] = (ranges[-1][0], index)
        else:
            ranges.append((index, index))
    return ",".join(
        f"{first}" if first == last else f"{first}{',' if last == first + 1 else '-'}{last}" for first, last in ranges
    )


def completed_indexes(view: JobView) -> set[int]:
    done = parse_indexes(view.status.get("completedIndexes"))
    return done | {index for pod in view.succeeded if (index := index_of(pod)) is not None}


def failed_indexes(view: JobView) -> set[int]:
    """Those whose own retries are used up, or that a FailIndex rule gave up."""
    limit = view.spec.get("backoffLimitPerIndex")
    gone = parse_indexes(view.status.get("failedIndexes"))
    if limit is None:
        return gone
    for pod in view.failed:
        index = index_of(pod)
        if index is not None and (_index_failures(pod) >= limit or failure_action(view, pod)[0] == "FailIndex"):
            gone.add(index)
    return gone - completed_indexes(view)


def _index_failures(pod: Obj) -> int:
    text = annotations_of(pod).get(INDEX_FAILURES, "0")
    return int(text) if text.isdigit() else 0


def missing_indexes(view: JobView, count: int) -> list[int]:
    """The lowest `count` indexes that nobody runs, has completed or has given up."""
    busy = {index_of(pod) for pod in view.live}
    if view.waits_for_end:
        busy |= {index_of(pod) for pod in view.ending}
    taken = busy | completed_indexes(view) | failed_indexes(view)
    free = (index for index in range(view.completions or 0) if index not in taken)
    return [index for index, _ in zip(free, range(count), strict=False)]


# failure


def failure_action(view: JobView, pod: Obj) -> tuple[str, str]:
    """(action, message) of the first rule of podFailurePolicy that fits a failed pod; `Count` when none does."""
    for number, rule in enumerate((view.spec.get("podFailurePolicy") or {}).get("rules") or ()):
        if (why := _rule_fits(rule, pod)) is not None:
            return rule["action"], f"{why} matching {rule['action']} rule at index {number}"
    return "Count", ""


def _rule_fits(rule: dict[str, Any], pod: Obj) -> str | None:
    meta = pod["metadata"]
    name = f"{meta['namespace']}/{meta['name']}"
    if codes := rule.get("onExitCodes"):
        statuses = pod.get("status") or {}
        for status in (*(statuses.get("containerStatuses") or ()), *(statuses.get("initContainerStatuses") or ())):
            ended = (status.get("state") or {}).get("terminated")
            if not ended or (codes.get("containerName") and codes["containerName"] != status["name"]):
                continue
            code = ended.get("exitCode", 0)
            if code != 0 and (code in codes["values"]) == (codes["operator"] == "In"):
                return f"Container {status['name']} for pod {name} failed with exit code {code}"
    for pattern in rule.get("onPodConditions") or ():
        found = podlib.condition_of(pod, pattern["type"])
        if found is not None and found.get("status") == (pattern.get("status") or "True"):
            return f"Pod {name} has condition {pattern['type']}"
    return None


def outcome_of(view: JobView, now: datetime) -> Outcome | None:
    """How the Job has ended, if it has."""
    for pod in view.failed:
        action, message = failure_action(view, pod)
        if action == "FailJob":
            return Outcome("Failed", "PodFailurePolicy", message)
    if view.total_failed > view.backoff_limit or _restarts_exceed(view):
        return Outcome("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if (left := seconds_to_deadline(view, now)) is not None and left <= 0:
        return Outcome("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
    if (won := _success_policy(view)) is not None:
        return won
    return _counted_outcome(view)


def _counted_outcome(view: JobView) -> Outcome | None:
    done = Outcome("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
    if view.completions is None:
        return done if view.total_succeeded and not view.live and not view.ending else None
    if not view.is_indexed:
        return done if view.total_succeeded >= view.completions else None
    given_up = failed_indexes(view)
    most = view.spec.get("maxFailedIndexes")
    if most is not None and len(given_up) > most:
        return Outcome(
            "Failed", "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
        )
    complete = completed_indexes(view)
    if given_up and len(complete) + len(given_up) >= view.completions:
        return Outcome("Failed", "FailedIndexes", "Job has failed indexes")
    return done if len(complete) >= view.completions else None


def _restarts_exceed(view: JobView) -> bool:
    """With restartPolicy OnFailure the node agent retries; its restarts count instead of failed pods."""
    if view.spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = 0
    for pod in view.live:
        status = pod.get("status") or {}
        for part in ("containerStatuses", "initContainerStatuses"):
            restarts += sum(one.get("restartCount") or 0 for one in status.get(part) or ())
    return restarts > 0 if view.backoff_limit == 0 else restarts >= view.backoff_limit


def _success_policy(view: JobView) -> Outcome | None:
    complete = completed_indexes(view) if view.is_indexed else set()
    for number, rule in enumerate((view.spec.get("successPolicy") or {}).get("rules") or ()):
        wanted = parse_indexes(rule["succeededIndexes"]) if rule.get("succeededIndexes") else None
        matching = complete & wanted if wanted is not None else complete
        needed = rule.get("succeededCount") or (len(wanted) if wanted is not None else 0)
        if needed and len(matching) >= needed:
            return Outcome("Complete", "SuccessPolicy", f"Matched rules at index {number}")
    return None


def seconds_to_deadline(view: JobView, now: datetime) -> float | None:
    limit, start = view.spec.get("activeDeadlineSeconds"), view.status.get("startTime")
    if limit is None or not start or view.spec.get("suspend"):
        return None
    return float((parse_time(start) + timedelta(seconds=int(limit)) - now).total_seconds())


# pods


@dataclass
class PodPlan:
    create: int = 0
    indexes: list[int] = field(default_factory=list)
    delete: list[Obj] = field(default_factory=list)
    wait: float | None = None
    """Seconds until the back-off of failed pods ends."""


def plan_pods(view: JobView, now: datetime) -> PodPlan:
    """The pods to start and to stop while the Job runs."""
    active = len(view.live)
    if view.spec.get("suspend"):
        return PodPlan(delete=list(view.live))
    if active > (wanted := _wanted_active(view)):
        return PodPlan(delete=podlib.deletion_order(view.live, now)[: active - wanted])
    missing = wanted - active - (len(view.ending) if view.waits_for_end else 0)
    if missing <= 0:
        return PodPlan()
    if not view.is_indexed:
        wait = backoff_left(view.past, now)
        return PodPlan(wait=wait) if wait else PodPlan(create=missing)
    waits: list[float] = []
    ready: list[int] = []
    per_index = view.spec.get("backoffLimitPerIndex") is not None
    for index in missing_indexes(view, view.completions or 0):
        past = [pod for pod in view.past if index_of(pod) == index] if per_index else view.past
        if wait := backoff_left(past, now):
            waits.append(wait)
        elif len(ready) < missing:
            ready.append(index)
    return PodPlan(create=len(ready), indexes=ready, wait=min(waits, default=None))


def _wanted_active(view: JobView) -> int:
    if view.completions is None:
        return len(view.live) if view.total_succeeded else view.parallelism
    if view.is_indexed:
        left = view.completions - len(completed_indexes(view)) - len(failed_indexes(view))
    else:
        left = view.completions - view.total_succeeded
    return max(0, min(view.parallelism, left))


def backoff_left(past: Sequence[Obj], now: datetime) -> float:
    """Seconds to wait before a replacement: doubling with each failure since the last success."""
    won = max((finished_at(pod) for pod in past if podlib.phase_of(pod) == "Succeeded"), default=None)
    ends = [finished_at(pod) for pod in past if podlib.phase_of(pod) == "Failed"]
    ends = [end for end in ends if won is None or end > won]
    if not ends:
        return 0.0
    delay = min(FIRST_BACKOFF * 2 ** (min(len(ends), 16) - 1), MOST_BACKOFF)
    return max(0.0, (max(ends) + timedelta(seconds=delay) - now).total_seconds())


def finished_at(pod: Obj) -> datetime:
    """When its last container ended, or else when it stopped being ready, or began."""
    ends = []
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (status.get("state") or {}).get("terminated") or {}
        if ended.get("finishedAt"):
            ends.append(parse_time(ended["finishedAt"]))
    if ends:
        return max(ends)
    if moment := pod["metadata"].get("deletionTimestamp"):
        return parse_time(moment)
    ready = podlib.condition_of(pod, "Ready") or {}
    return parse_time(ready.get("lastTransitionTime") or podlib.created_at(pod))


def render_pod(job: Obj, index: int | None, index_failures: int = 0) -> Obj:
    """A pod of the Job, held by a finalizer until it has been counted."""
    name = job["metadata"]["name"]
    labels = {"batch.kubernetes.io/job-name": name, "job-name": name}
    for key in ("batch.kubernetes.io/controller-uid", "controller-uid"):
        labels[key] = uid_of(job)
    options: dict[str, Any] = {"labels": labels}
    if index is not None:
        options["labels"] = {**labels, INDEX: str(index)}
        options["annotations"] = {INDEX: str(index)}
        if job["spec"].get("backoffLimitPerIndex") is not None:
            options["annotations"][INDEX_FAILURES] = str(index_failures)
        options["generateName"] = f"{name[:50]}-{index}-"
    pod = podlib.pod_from_template(job["spec"]["template"], job, **options)
    pod["metadata"]["finalizers"] = [*pod["metadata"].get("finalizers", ()), TRACKING]
    if index is not None:
        pod["spec"].setdefault("hostname", f"{name}-{index}"[:63])
        for container in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())):
            _add_index_variable(container)
    return pod


def _add_index_variable(container: dict[str, Any]) -> None:
    env = container.setdefault("env", [])
    if not any(one["name"] == "JOB_COMPLETION_INDEX" for one in env):
        source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
        env.append({"name": "JOB_COMPLETION_INDEX", "valueFrom": source})


def index_failure_count(view: JobView, index: int) -> int:
    """How often the index has failed, by the pods that are still there to tell."""
    failed = [pod for pod in (*view.past, *view.ending) if index_of(pod) == index and pod not in view.succeeded]
    return max((_index_failures(pod) + 1 for pod in failed if podlib.phase_of(pod) != "Succeeded"), default=0)
