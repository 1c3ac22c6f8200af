"""What Deployments and pods say about a rollout or a process. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from controller.cluster.diagnose import Pod, is_ready

Manifest = dict


def is_rolled_out(deployment: Manifest) -> bool:
    """Whether every wished replica is of the newest template and ready, and none of an older one is left."""
    spec, status = deployment["spec"], deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 1):
        return False
    wished = spec.get("replicas", 1)
    return (
        status.get("updatedReplicas", 0) >= wished
        and status.get("replicas", 0) <= status.get("updatedReplicas", 0)
        and status.get("availableReplicas", 0) >= wished
    )


def behind_its_deadline(deployment: Manifest) -> bool:
    conditions = (deployment.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Progressing" and c.get("reason") == "ProgressDeadlineExceeded" for c in conditions)


def describe_progress(deployments: Iterable[Manifest], fresh: Iterable[Pod]) -> str:
    """`web 1/3, worker 1/1`: how many of the wished processes are ready among the `fresh` ones."""
    ready = Counter(pod["metadata"]["labels"]["type"] for pod in fresh if is_ready(pod))
    wished = {d["metadata"]["labels"]["type"]: d["spec"].get("replicas", 1) for d in deployments}
    return ", ".join(f"{kind} {min(ready[kind], count)}/{count}" for kind, count in sorted(wished.items()) if count)


def of_release(pods: Sequence[Pod], version: int) -> list[Pod]:
    return [pod for pod in pods if pod["metadata"].get("labels", {}).get("version") == f"v{version}"]


def is_process(pod: Pod) -> bool:
    """Whether a pod is one of the app's running processes: no one-off command, and none of a Job."""
    labels = pod["metadata"].get("labels") or {}
    return labels.get("type", "") not in ("", "run") and "job-name" not in labels


def state_of(pod: Pod) -> str:
    """A pod's state in Deis' words."""
    if pod["metadata"].get("deletionTimestamp"):
        return "terminating"
    status = pod.get("status") or {}
    phase = status.get("phase", "Pending")
    state = ((status.get("containerStatuses") or [{}])[0]).get("state") or {}
    if phase == "Succeeded":
        return "down"
    if phase == "Failed":
        return "crashed"
    if (waiting := state.get("waiting")) is not None:
        reason = waiting.get("reason", "")
        if reason == "CrashLoopBackOff":
            return "crashed"
        return "error" if reason.startswith(("Err", "Image", "Invalid", "Create", "Run")) else "creating"
    if "terminated" in state:
        return "crashed" if state["terminated"].get("exitCode") else "down"
    if phase == "Running":
        return "up" if is_ready(pod) else "starting"
    return "initializing" if phase == "Pending" else phase.lower()
