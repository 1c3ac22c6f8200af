"""What the cluster says of the runs of commands on a schedule."""

from dataclasses import dataclass

from controller.cluster.client import Cluster
from controller.cluster.diagnose import Pod
from controller.cluster.pods import ending_of
from controller.cron import type_of


@dataclass(frozen=True)
class Run:
    """One time a command ran, or runs."""

    name: str  # of its Job
    process: str  # what the log calls it
    started: str
    ended: str | None
    state: str  # running, succeeded, failed
    exit_code: int | None
    reason: str


def runs_of(api: Cluster, app: str, name: str) -> list[Run]:
    """The runs the cluster remembers, the newest first."""
    marks = f"heritage=deis,type={type_of(name)}"
    jobs, pods = api.list("Job", app, marks)[0], api.list("Pod", app, marks)[0]
    by_job: dict[str, Pod] = {}
    for pod in pods:
        by_job[(pod["metadata"].get("labels") or {}).get("job-name", "")] = pod
    runs = [run_of(name, job, by_job.get(job["metadata"]["name"])) for job in jobs]
    return sorted(runs, key=lambda run: run.started, reverse=True)


def run_of(name: str, job: dict, pod: Pod | None) -> Run:
    status = job.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or () if c.get("status") == "True"}
    state = "succeeded" if "Complete" in conditions else "failed" if "Failed" in conditions else "running"
    reason = (conditions.get("Failed") or {}).get("reason", "")
    reason = {"BackoffLimitExceeded": "", "DeadlineExceeded": "its time was over"}.get(reason, reason)
    code, process = None, ""
    if pod is not None:
        process = f"{type_of(name)}.{pod['metadata']['name'].rpartition('-')[2]}"
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            ended = ending_of(pod)
            code = ended.exit_code
            reason = reason or ("out of memory" if ended.reason == "OOMKilled" else "")
    elif state == "succeeded":
        code = 0
    ended_at = status.get("completionTime") or (conditions.get("Failed") or {}).get("lastTransitionTime")
    started = status.get("startTime") or job["metadata"]["creationTimestamp"]
    return Run(job["metadata"]["name"], process, started, ended_at, state, code, reason)
