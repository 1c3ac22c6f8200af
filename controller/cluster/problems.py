"""What the cluster says isn't as an app's owner wishes. Pure but for `evidence`, which reads a process's last lines."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.cluster.diagnose import (
    Finding,
    Pod,
    container_status,
    deis_quantity,
    doubled,
    finding_of,
    is_ready,
    observe_delay,
    observe_failure,
    parse_time,
    with_last_words,
)

ERROR, WARNING, INFO = "error", "warning", "info"
RECENT = timedelta(hours=1)  # how long ago a restart still matters
YOUNG = 15.0  # seconds in which a process that isn't up yet is nothing to speak of
LOGS = "`paas logs -a {app}` says more"
BACK = "`paas rollback -a {app}` goes back"
FIXES = {
    "pull": ("check the image's name and `paas registry:list -a {app}`", BACK),
    "start": ("correct the command in the Procfile and push", BACK),
    "config": (BACK,),
    "memory": ("{more}",),
    "crash": (LOGS, BACK),
    "misplaced": ("listen on 0.0.0.0:$PORT",),
    "silent": ("listen on 0.0.0.0:$PORT",),
    "probe": ("`paas healthchecks -a {app}` shows the check; it must get an answer from the process",),
    "room": ("`paas limits -a {app}` and `paas tags -a {app}` show what it asks for; the operator can add a node",),
    "slow": ("`paas ps:wait -a {app}` waits for it",),
    "restarts": (LOGS, BACK),
}


@dataclass(frozen=True)
class Problem:
    """`level` is error (something doesn't work), warning (it may be meant so) or info; `fix` what helps."""

    level: str
    code: str
    text: str
    evidence: tuple[str, ...] = ()
    fix: str = ""


def problems_of_pods(
    app: str, pods: Sequence[Pod], examine: Callable[[Finding], tuple[str, list[str]]], at: datetime, back: bool
) -> list[Problem]:
    """One problem for each process type and cause; `examine` puts a finding into words, and has its last log lines.

    `back`: there is a release to go back to.
    """
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        finding = observe_failure([pod], at) or (_restarted(pod, at) if is_ready(pod) else _delayed(pod, at))
        if finding is not None:
            groups[finding.type, finding.kind].append(finding)
    return [_problem(app, kind, cause, found, examine, back) for (kind, cause), found in sorted(groups.items())]


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


def _problem(
    app: str,
    kind: str,
    cause: str,
    findings: list[Finding],
    examine: Callable[[Finding], tuple[str, list[str]]],
    back: bool,
) -> Problem:
    first = findings[0]
    text, said = examine(first)
    if cause == "restarts":
        text = f"{kind} runs, but was started again after exit code {first.code} at {first.text}"
    else:
        text = with_last_words(text, said[:1])
    pods = ", ".join(finding.pod for finding in findings[:5]) + (" …" if len(findings) > 5 else "")
    count = f"{len(findings)} process{'es' if len(findings) > 1 else ''}: {pods}"
    if cause not in ("crash", "memory", "restarts"):
        said = []
    more = "the operator can add memory to the node"
    if first.memory:
        has = deis_quantity(first.memory)
        more = f"`paas limits:set {kind}={doubled(first.memory)} -a {app}` gives it more than {has}"
    ways = [way.format(app=app, more=more) for way in FIXES.get(cause, ()) if back or way != BACK]
    level = WARNING if cause in ("restarts", "slow") else ERROR
    evidence = (count, *(f"it said: {line}" for line in said[-5:]))
    return Problem(level, f"process_{cause}", text, evidence, "; ".join(ways))


def problems_of_deployments(app: str, deployments: Sequence[dict], busy: bool) -> list[Problem]:
    """Processes that can't even be made, such as beyond a quota. `busy`: a change is under way, which comes first."""
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
                made = (deployment.get("status") or {}).get("replicas", 0)
                first = f"`paas deploys:cancel -a {app}`, then " if busy else ""
                fewer = f"{first}`paas scale {kind}={made} -a {app}` wishes no more than there are"
                fix = f"{fewer}, or ask the operator to raise the quota" if quota else ""
                problems.append(Problem(ERROR, "quota" if quota else "refused", text, (message,), fix))
    return problems


def problems_of_autoscalers(app: str, scalers: Sequence[dict], rules: dict[str, dict]) -> list[Problem]:
    """`rules` are the app's own, by process type."""
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
            rule = rules.get(kind, {}) | {"max": 2 * scaler["spec"]["maxReplicas"]}
            wider = [f"--{name.replace('_', '-')}={value}" for name, value in rule.items()]
            fix = f"`paas autoscale:set {kind} {' '.join(wider)} -a {app}` allows twice as many"
            problems.append(Problem(WARNING, "autoscale", text, (), fix))
    return problems


def has_endpoints(slices: Sequence[dict]) -> bool:
    """Whether the routers know a process to send requests to."""
    return any(
        (endpoint.get("conditions") or {}).get("ready") is not False
        for one in slices
        for endpoint in one.get("endpoints") or ()
    )
