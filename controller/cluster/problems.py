"""What the cluster says isn't as an app's owner wishes. Pure but for `evidence`, which reads a process's last lines."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.cluster.diagnose import (
    Finding,
    Pod,
    container_status,
    finding_of,
    is_ready,
    observe_delay,
    observe_failure,
    parse_time,
)

ERROR, WARNING, INFO = "error", "warning", "info"
RECENT = timedelta(hours=1)  # how long ago a restart still matters
YOUNG = 15.0  # seconds in which a process that isn't up yet is nothing to speak of
FIXES = {
    "pull": "check the image's name and `paas registry:list -a {app}`; `paas rollback -a {app}` goes back",
    "start": "correct the command in the Procfile and push, or `paas rollback -a {app}`",
    "config": "`paas rollback -a {app}`",
    "memory": "`paas limits:set {type}=SIZE -a {app}` with more than {memory}",
    "crash": "`paas logs -a {app}` says more; `paas rollback -a {app}` goes back",
    "misplaced": "listen on 0.0.0.0:$PORT",
    "silent": "listen on 0.0.0.0:$PORT",
    "probe": "`paas healthchecks -a {app}` shows the check; it must get an answer from the process",
    "room": "`paas limits -a {app}` and `paas tags -a {app}` show what it asks for; the operator can add a node",
    "slow": "wait, and `paas ps -a {app}`",
    "restarts": "`paas logs -a {app}` says more; `paas rollback -a {app}` goes back",
}


@dataclass(frozen=True)
class Problem:
    """`level` is error (something doesn't work), warning (it may be meant so) or info; `fix` what helps."""

    level: str
    code: str
    text: str
    evidence: tuple[str, ...] = ()
    fix: str = ""


def problems_of_pods(app: str, pods: Sequence[Pod], explain: Callable[[Finding], str], at: datetime) -> list[Problem]:
    """One problem for each process type and cause; `explain` puts a finding into words, last log lines included."""
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        finding = observe_failure([pod], at) or (_restarted(pod, at) if is_ready(pod) else _delayed(pod, at))
        if finding is not None:
            groups[finding.type, finding.kind].append(finding)
    return [_problem(app, kind, cause, findings, explain) for (kind, cause), findings in sorted(groups.items())]


def _delayed(pod: Pod, at: datetime) -> Finding | None:
    age = (at - parse_time(pod["metadata"]["creationTimestamp"])).total_seconds()
    return observe_delay([pod]) if age > YOUNG else None


def _restarted(pod: Pod, at: datetime) -> Finding | None:
    """A process that is up but ended lately."""
    status = container_status(pod)
    ended = (status.get("lastState") or {}).get("terminated") or {}
    finished = ended.get("finishedAt")
    if not status.get("restartCount") or not finished or at - parse_time(finished) > RECENT:
        return None
    kind = "memory" if ended.get("reason") == "OOMKilled" else "restarts"
    return finding_of(pod, kind, finished, code=ended.get("exitCode"), previous=True)


def _problem(app: str, kind: str, cause: str, findings: list[Finding], explain: Callable[[Finding], str]) -> Problem:
    first = findings[0]
    if cause == "restarts":
        text = f"{kind} runs, but was started again after exit code {first.code} at {first.text}"
    else:
        text, _, _ = explain(first).partition(" | ")
    pods = ", ".join(finding.pod for finding in findings[:5]) + (" …" if len(findings) > 5 else "")
    count = f"{len(findings)} process{'es' if len(findings) > 1 else ''}: {pods}"
    said = explain(first).partition(": ")[2].split(" | ") if cause in ("crash", "memory", "restarts") else []
    fix = FIXES.get(cause, "").format(app=app, type=kind, memory=first.memory or "it has")
    level = WARNING if cause in ("restarts", "slow") else ERROR
    return Problem(level, f"process_{cause}", text, (count, *(f"it said: {line}" for line in said[-5:] if line)), fix)


def problems_of_deployments(app: str, deployments: Sequence[dict]) -> list[Problem]:
    """Processes that can't even be made, such as beyond a quota."""
    problems = []
    for deployment in deployments:
        for condition in (deployment.get("status") or {}).get("conditions") or ():
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                kind = (deployment["metadata"].get("labels") or {}).get("type", "")
                message = condition.get("message", "")
                quota = "quota" in message.lower()
                text = f"{kind} has fewer processes than wished: " + (
                    "a quota is used up" if quota else "the cluster refuses to make them"
                )
                fix = (
                    f"`paas scale {kind}=N -a {app}` with fewer, or ask the operator to raise the quota"
                    if quota
                    else ""
                )
                problems.append(Problem(ERROR, "quota" if quota else "refused", text, (message,), fix))
    return problems


def problems_of_autoscalers(app: str, scalers: Sequence[dict]) -> list[Problem]:
    problems = []
    for scaler in scalers:
        kind = (scaler["metadata"].get("labels") or {}).get("type", "")
        conditions = {c["type"]: c for c in (scaler.get("status") or {}).get("conditions") or ()}
        active, limited = conditions.get("ScalingActive", {}), conditions.get("ScalingLimited", {})
        if active.get("status") == "False" and active.get("reason") != "ScalingDisabled":
            text = f"{kind} isn't autoscaled: its load can't be measured"
            problems.append(Problem(WARNING, "autoscale", text, (active.get("message", ""),), f"`paas ps -a {app}`"))
        elif limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
            text = f"{kind} would be scaled further, but is at its autoscale maximum of {scaler['spec']['maxReplicas']}"
            problems.append(Problem(WARNING, "autoscale", text, (), f"`paas autoscale:set {kind} --max=N -a {app}`"))
    return problems


def has_endpoints(slices: Sequence[dict]) -> bool:
    """Whether the routers know a process to send requests to."""
    return any(
        (endpoint.get("conditions") or {}).get("ready") is not False
        for one in slices
        for endpoint in one.get("endpoints") or ()
    )
