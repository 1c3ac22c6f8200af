"""Whether a release that is live does well: what its pods and its traffic say. Pure.

During a rollout `diagnose` waits for processes to come up; here they have been up, and the question is whether they
stay so.
"""

from collections.abc import Sequence
from datetime import datetime

from controller.cluster.diagnose import Finding, Pod, container_status, finding_of, is_ready, parse_time

CRASHES = 2  # restarts of one process since it went live that count as a loop
UNREADY_FOR = 15.0  # seconds a process may fail its checks before it counts
SETTLED = 30.0  # seconds a node must have been well before its pods' checks count
WINDOW = 20.0  # seconds over which the share of 5xx answers is taken
FEWEST = 20  # requests in that window below which a share says nothing

Sample = Sequence[float]  # seconds since the release went live, requests, of them 5xx


def restarts_of(pods: Sequence[Pod]) -> dict[str, int]:
    return {pod["metadata"]["name"]: container_status(pod).get("restartCount", 0) for pod in pods}


def observe_sickness(pods: Sequence[Pod], before: dict[str, int], away: set[str], at: datetime) -> Finding | None:
    """What is wrong with one of `pods` since it went live, or None.

    `before` are the restarts a pod had behind it then; pods on the nodes `away` can't help being unready.
    """
    for pod in pods:
        if pod["metadata"].get("deletionTimestamp"):
            continue
        finding = _crash_of(pod, before.get(pod["metadata"]["name"], 0))
        if finding is None and pod["spec"].get("nodeName") not in away:
            finding = _unready(pod, at)
        if finding is not None:
            return finding
    return None


def _crash_of(pod: Pod, before: int) -> Finding | None:
    status = container_status(pod)
    count = status.get("restartCount", 0)
    ended_now = (status.get("state") or {}).get("terminated")
    ended = ended_now or (status.get("lastState") or {}).get("terminated")
    since = count - before + (1 if ended_now else 0)
    if not ended or since < 1:
        return None
    code, previous = ended.get("exitCode"), not ended_now
    if ended.get("reason") == "OOMKilled":
        return finding_of(pod, "memory", code=code, previous=previous)
    looping = ((status.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    if since >= CRASHES or looping:
        return finding_of(pod, "crash", ended.get("message") or "", code=code, previous=previous)
    return None


def _unready(pod: Pod, at: datetime) -> Finding | None:
    """A running process whose checks have failed for a while."""
    if is_ready(pod) or "running" not in (container_status(pod).get("state") or {}):
        return None
    for condition in pod["status"].get("conditions") or ():
        if condition["type"] == "Ready" and (since := condition.get("lastTransitionTime")):
            if (at - parse_time(since)).total_seconds() > UNREADY_FOR:
                return finding_of(pod, "probe")
    return None


def is_settled(node: dict, at: datetime) -> bool:
    """Whether a node has been well for a while, so that its pods have no excuse."""
    for condition in (node.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Ready":
            since = condition.get("lastTransitionTime")
            well_for = (at - parse_time(since)).total_seconds() if since else SETTLED
            return condition["status"] == "True" and well_for >= SETTLED
    return True


def keep_samples(samples: Sequence[Sample], newest: Sample) -> list[Sample]:
    """`samples` with the newest: those of the last WINDOW and one from before it; afresh when counters began anew."""
    if samples and newest[1] < samples[-1][1]:
        return [newest]
    kept = [*samples, newest]
    old = [sample for sample in kept if sample[0] <= newest[0] - WINDOW]
    return kept[max(len(old) - 1, 0) :]


def error_share(samples: Sequence[Sample]) -> float | None:
    """The part (0 to 1) of 5xx among the answers between the first and last sample; None when they are too few."""
    if not samples:
        return None
    requests = samples[-1][1] - samples[0][1]
    return (samples[-1][2] - samples[0][2]) / requests if requests >= FEWEST else None
