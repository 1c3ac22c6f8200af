"""The processes of an app as the cluster has them: listed, restarted, run once."""

import contextlib
import logging
import queue
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from controller.cluster import diagnose
from controller.cluster.client import Cluster, ClusterError, Unreachable
from controller.cluster.deploy import OURS, TICK, Follower, apply_all, explain, restarted_at, wait_until_up
from controller.cluster.diagnose import Pod
from controller.cluster.observe import is_process, state_of
from controller.cluster.render import (
    environment_name,
    render_environment,
    render_namespace,
    render_pull_secret,
    render_run,
)
from controller.cluster.wish import Wish
from controller.errors import ClusterTrouble

log = logging.getLogger(__name__)

HIDDEN = ("down", "crashed")
ENDED = ("Succeeded", "Failed")
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes names pods with: no words by accident


@dataclass(frozen=True)
class Process:
    name: str
    state: str
    release: str
    type: str
    started: str


def list_processes(
    api: Cluster, app: str, kind: str | None = None, name: str | None = None, *, version: int | None = None
) -> list[Process]:
    """The app's processes, newest first; with `version` only that release's.

    One-off commands and dead processes are left out.
    """
    pods, _ = api.list("Pod", app, OURS)
    chosen = [pod for pod in pods if is_process(pod)]
    if kind is not None:
        chosen = [pod for pod in chosen if _label(pod, "type") == kind]
    if name is not None:
        chosen = [pod for pod in chosen if pod["metadata"]["name"] == name]
    if version is not None:
        chosen = [pod for pod in chosen if _label(pod, "version") == f"v{version}"]
    processes = [describe(pod) for pod in chosen]
    shown = [process for process in processes if process.state not in HIDDEN]
    return sorted(shown, key=lambda process: (process.started, process.name), reverse=True)


def describe(pod: Pod) -> Process:
    started = (pod.get("status") or {}).get("startTime") or pod["metadata"]["creationTimestamp"]
    return Process(
        name=pod["metadata"]["name"],
        state=state_of(pod),
        release=_label(pod, "version"),
        type=_label(pod, "type"),
        started=diagnose.parse_time(started).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _label(pod: Pod, name: str) -> str:
    return (pod["metadata"].get("labels") or {}).get(name, "")


def replace_pod(api: Cluster, app: str, name: str, *, timeout: float) -> None:
    """Deletes one pod and returns when its Deployment is whole again. Raises: RolloutFailed."""
    pod = api.get("Pod", app, name)
    if pod is None:
        return
    deployment, version = f"{app}-{_label(pod, 'type')}", int(_label(pod, "version").removeprefix("v") or 0)
    api.delete("Pod", app, name)
    _await_replacement(api, app, name)
    wanted = {deployment: restarted_at(pod)}
    wait_until_up(api, app, version, wanted, timeout=timeout, tick=_nothing, report=_ignore)


def _await_replacement(api: Cluster, app: str, name: str) -> None:
    """Returns once the cluster counts `name` out, so that the Deployment's status speaks of its successor."""
    changed: queue.Queue = queue.Queue()
    deadline = time.monotonic() + 10
    with Follower(api, "Pod", app, OURS, changed) as pods:
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                changed.get(timeout=TICK)
            known = {pod["metadata"]["name"]: pod for pod in pods.objects()}
            leaving = known.get(name) is None or known[name]["metadata"].get("deletionTimestamp")
            if pods.synced and leaving:
                time.sleep(0.2)  # the ReplicaSet counts its pods from the same event
                return


def _nothing() -> None:
    """For waits nobody interrupts."""


def _ignore(line: str) -> None:
    """For waits nobody follows."""


def run_name(app: str) -> str:
    """A name for the pod of a one-off command, not taken."""
    return f"{app}-run-{''.join(secrets.choice(ALPHABET) for _ in range(5))}"


def provide(api: Cluster, wish: Wish) -> None:
    """What a pod of the release reads: also of one whose deploy has only begun, or never was.

    Raises: ClusterError, Unreachable.
    """
    if api.get("Secret", wish.app, environment_name(wish.app, wish.release.version)) is None:
        base = [render_namespace(wish), render_pull_secret(wish), render_environment(wish, wish.release)]
        apply_all(api, base, tick=_nothing)


def run_once(
    api: Cluster, wish: Wish, name: str, command: str, *, timeout: float, tick: Callable[[], None] = _nothing
) -> tuple[int, str]:
    """Exit code and combined output of `command` in the pod `name`, which is gone afterwards.

    `tick` is called about every second and may raise to stop it. Raises: ClusterTrouble, and what `tick` raises.
    """
    api.create(render_run(wish, name, command, int(timeout)))
    try:
        pod = _await(api, wish.app, name, timeout, tick, ENDED)
        output = _output(api, wish.app, name)
        ended = ending_of(pod)
        if not output and diagnose.MISSING_PROGRAM.search(ended.message):
            output = f"{diagnose.bare(ended.message)}\n"
        return ended.exit_code, output
    finally:
        with contextlib.suppress(ClusterTrouble):
            api.delete("Pod", wish.app, name, grace=0)


def await_start(api: Cluster, app: str, name: str, *, timeout: float, tick: Callable[[], None] = _nothing) -> None:
    """Returns once the one-off pod `name` runs, or has ended. Raises: ClusterTrouble, and what `tick` raises."""
    _await(api, app, name, timeout, tick, ("Running", *ENDED))


def _await(api: Cluster, app: str, name: str, timeout: float, tick: Callable[[], None], phases: tuple[str, ...]) -> Pod:
    changed: queue.Queue = queue.Queue()
    deadline = time.monotonic() + timeout
    with Follower(api, "Pod", app, "type=run", changed) as pods:
        while True:
            tick()
            with contextlib.suppress(queue.Empty):
                changed.get(timeout=TICK)
            mine = [pod for pod in pods.objects() if pod["metadata"]["name"] == name]
            if mine and (mine[0].get("status") or {}).get("phase") in phases:
                return mine[0]
            if pods.synced and not mine and api.get("Pod", app, name) is None:
                raise ClusterTrouble(f"{name} (run): the pod was deleted before its command ended")
            finding = diagnose.observe_failure(mine, diagnose.now())
            if finding and finding.kind in ("pull", "room", "start", "config"):
                raise ClusterTrouble(f"{name} (run): {explain(api, app, finding, mine)}")
            if time.monotonic() > deadline:
                raise ClusterTrouble(f"{name} (run): the command didn't end within {timeout:.0f} s and was stopped")


@dataclass(frozen=True)
class Ending:
    """How a pod that is never restarted ended."""

    exit_code: int
    reason: str  # in Kubernetes' words: Completed, Error, OOMKilled, DeadlineExceeded, Evicted
    message: str


def ending_of(pod: Pod) -> Ending:
    """Of a pod in one of the phases ENDED."""
    status = pod.get("status") or {}
    statuses = status.get("containerStatuses") or [{}]
    ended = (statuses[0].get("state") or {}).get("terminated") or {}
    code = ended.get("exitCode", 0 if status.get("phase") == "Succeeded" else 1)
    reason = status.get("reason") or ended.get("reason") or ""
    return Ending(code, reason, ended.get("message") or status.get("message") or "")


def _output(api: Cluster, app: str, name: str) -> str:
    try:
        return api.logs(app, name)
    except (ClusterError, Unreachable) as exc:
        raise ClusterTrouble(f"{name} (run): the command ended but its output can't be read: {exc}") from exc
