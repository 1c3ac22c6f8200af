"""Brings an app's objects about and waits until its processes are up, or says why they won't be.

Every step may be repeated: a second runner that takes over applies the same objects and waits on.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable

from controller.cluster import diagnose
from controller.cluster.client import Cluster, ClusterError, Unreachable, WatchExpired
from controller.cluster.observe import behind_its_deadline, describe_progress, is_rolled_out, of_release
from controller.errors import PaasError

log = logging.getLogger(__name__)

TICK = 1.0  # seconds between signs of life to whoever waits
LOOK_CLOSER = 5.0  # seconds between looks at the events of a rollout that takes long
SETTLE = 15.0  # seconds a fresh namespace or an unreachable API may take before an apply counts as refused
OURS = "heritage=deis"
ENVIRONMENTS_KEPT = 2  # releases whose environment stays: the current one, and the one its last pods still run
PRUNED = ("Deployment", "HorizontalPodAutoscaler", "CronJob", "Service", "Secret")

Manifest = dict


class RolloutFailed(PaasError):
    """The processes didn't come up; the text says why."""


class Superseded(PaasError):
    """A forced deploy took this one's place."""


class Follower:
    """Keeps a cache of the objects of one kind, by list and watch, and tells a queue of every change."""

    def __init__(self, cluster: Cluster, kind: str, namespace: str, labels: str, changed: queue.Queue):
        self._cluster, self._kind, self._namespace, self._labels = cluster, kind, namespace, labels
        self._changed = changed
        self._objects: dict[str, Manifest] = {}
        self._lock = threading.Lock()
        self._watch = None
        self._stopped = threading.Event()
        self.synced = False
        self._thread = threading.Thread(target=self._run, name=f"follow-{kind}-{namespace}", daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._stopped.set()
        if self._watch is not None:
            self._watch.close()
        self._thread.join(timeout=2)

    def objects(self) -> list[Manifest]:
        with self._lock:
            return list(self._objects.values())

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._list_and_watch()
            except (WatchExpired, Unreachable, ClusterError) as exc:
                log.info("watch interrupted", extra={"kind": self._kind, "app": self._namespace, "error": str(exc)})
                self._stopped.wait(0.3)

    def _list_and_watch(self) -> None:
        items, version = self._cluster.list(self._kind, self._namespace, self._labels)
        with self._lock:
            self._objects = {item["metadata"]["name"]: item for item in items}
        self.synced = True
        self._changed.put(self._kind)
        self._watch = self._cluster.watch(self._kind, self._namespace, version, self._labels)
        try:
            for event, item in self._watch:
                if self._stopped.is_set():
                    return
                if event == "BOOKMARK":
                    continue
                with self._lock:
                    if event == "DELETED":
                        self._objects.pop(item["metadata"]["name"], None)
                    else:
                        self._objects[item["metadata"]["name"]] = item
                self._changed.put(self._kind)
        finally:
            self._watch.close()


def apply_all(
    cluster: Cluster, manifests: Iterable[Manifest], *, tick: Callable[[], None], clock=time.monotonic
) -> None:
    """Applies `manifests` in order; a namespace that is still being prepared, or an API that restarts, is waited for.

    Raises: ClusterError, Unreachable.
    """
    for manifest in manifests:
        deadline = clock() + SETTLE
        while True:
            tick()
            try:
                cluster.apply(manifest)
                break
            except Unreachable:
                if clock() > deadline:
                    raise
            except ClusterError as exc:
                settling = exc.code in (403, 404, 409, 429) or exc.code >= 500
                if not settling or clock() > deadline:
                    raise
            time.sleep(0.2)


def keep_autoscaled(cluster: Cluster, manifests: list[Manifest], scaled: Collection[str] = ()) -> list[Manifest]:
    """`manifests` with the replicas of autoscaled Deployments as they run: that number is the autoscaler's.

    What somebody has just `scaled` (names of Deployments) begins at that number instead, within the autoscaler's
    bounds. None is none: an autoscaler leaves alone what has no replicas, so it could neither stop nor start them.
    """
    rules = {
        m["spec"]["scaleTargetRef"]["name"]: m["spec"] for m in manifests if m["kind"] == "HorizontalPodAutoscaler"
    }
    kept = []
    for manifest in manifests:
        name, wished = manifest["metadata"]["name"], manifest.get("spec", {}).get("replicas")
        if manifest["kind"] == "Deployment" and name in rules and wished:
            live = cluster.get("Deployment", manifest["metadata"]["namespace"], name)
            running = live["spec"].get("replicas", 1) if live else 0
            if not running or name in scaled:
                running = min(max(wished, rules[name].get("minReplicas", 1)), rules[name]["maxReplicas"])
            manifest = {**manifest, "spec": {**manifest["spec"], "replicas": running}}
        kept.append(manifest)
    return kept


def roll_out(
    cluster: Cluster,
    app: str,
    version: int,
    manifests: list[Manifest],
    *,
    timeout: float,
    tick: Callable[[], None],
    report: Callable[[str], None],
    scaled: Collection[str] = (),
) -> None:
    """Applies `manifests` and returns once the Deployments among them are up; `scaled` as `keep_autoscaled` has it.

    `tick` is called about every second and may raise to stop; `report` gets a line when progress changes.
    Raises: RolloutFailed, ClusterError, Unreachable, and what `tick` raises.
    """
    manifests = keep_autoscaled(cluster, manifests, scaled)
    apply_all(cluster, manifests, tick=tick)
    wanted = {
        m["metadata"]["name"]: restarted_at(m["spec"]["template"]) for m in manifests if m["kind"] == "Deployment"
    }
    if wanted:
        wait_until_up(cluster, app, version, wanted, timeout=timeout, tick=tick, report=report)


def restarted_at(pod: Manifest) -> str:
    """When the wished restart was that made this pod or template; tells pods of one release apart."""
    return (pod["metadata"].get("annotations") or {}).get("deis.io/restartedAt", "")


def wait_until_up(
    cluster: Cluster,
    app: str,
    version: int,
    wanted: dict[str, str],
    *,
    timeout: float,
    tick: Callable[[], None],
    report: Callable[[str], None],
) -> None:
    """Returns once the Deployments `wanted` (name -> its `restarted_at`) are rolled out.

    Raises: RolloutFailed, and what `tick` raises.
    """
    changed: queue.Queue = queue.Queue()
    deadline, said = time.monotonic() + timeout, ""
    look_closer = time.monotonic() + LOOK_CLOSER
    with (
        Follower(cluster, "Deployment", app, OURS, changed) as deployments,
        Follower(cluster, "Pod", app, OURS, changed) as pods,
    ):
        while True:
            tick()
            _drain(changed, TICK)
            ours = [d for d in deployments.objects() if d["metadata"]["name"] in wanted]
            if len(ours) == len(wanted) and all(map(is_rolled_out, ours)):
                return
            fresh = _watched(of_release(pods.objects(), version), wanted)
            if (line := describe_progress(ours, fresh)) and line != said:
                report(said := line)
            if finding := diagnose.observe_failure(fresh, diagnose.now()):
                raise RolloutFailed(explain(cluster, app, finding, fresh))
            if time.monotonic() > look_closer:
                look_closer = time.monotonic() + LOOK_CLOSER
                if finding := diagnose.observe_wrong_port(fresh, complaints(cluster, app)):
                    raise RolloutFailed(explain(cluster, app, finding, fresh))
            late = time.monotonic() > deadline or any(map(behind_its_deadline, ours))
            if late:
                raise RolloutFailed(explain_delay(cluster, app, fresh, timeout))


def complaints(cluster: Cluster, app: str) -> list[Manifest]:
    """The events of failed checks; none while the API can't be asked."""
    try:
        items, _ = cluster.list("Event", app, fields="reason=Unhealthy")
    except (ClusterError, Unreachable):
        return []
    return items


def _drain(changed: queue.Queue, seconds: float) -> None:
    """Waits for a change, and takes those that came with it."""
    with contextlib.suppress(queue.Empty):
        changed.get(timeout=seconds)
        while True:
            changed.get_nowait()


def _watched(pods: list[Manifest], wanted: dict[str, str]) -> list[Manifest]:
    """The pods that the Deployments `wanted` made of their newest template."""
    names = [f"{pod['metadata']['labels']['app']}-{pod['metadata']['labels'].get('type')}" for pod in pods]
    return [pod for pod, name in zip(pods, names, strict=True) if wanted.get(name) == restarted_at(pod)]


def explain_delay(cluster: Cluster, app: str, pods: list[Manifest], timeout: float) -> str:
    finding = diagnose.observe_delay(pods)
    if finding is None:
        return f"the processes weren't up after {timeout:.0f} s; `paas ps` and `paas logs` show how far they came"
    return f"{explain(cluster, app, finding, pods)} (waited {timeout:.0f} s)"


def explain(cluster: Cluster, app: str, finding: diagnose.Finding, pods: list[Manifest]) -> str:
    """The finding in words, with the process' last lines and the cluster's events read for it."""
    return diagnose.with_last_words(*examine(cluster, app, finding, pods))


def examine(cluster: Cluster, app: str, finding: diagnose.Finding, pods: list[Manifest]) -> tuple[str, list[str]]:
    """What happened, in words, and the process' last lines."""
    image = next(p["spec"]["containers"][0]["image"] for p in pods if p["metadata"]["name"] == finding.pod)
    logs, events = "", []
    with contextlib.suppress(ClusterError, Unreachable):
        if finding.kind in ("crash", "start", "memory", "silent", "probe", "misplaced", "restarts"):
            logs = read_last_logs(cluster, app, finding)
        if finding.kind in ("probe", "silent") or (finding.kind, finding.code) in diagnose.MAYBE_NOT_LIVE:
            items, _ = cluster.list("Event", app, fields=f"involvedObject.name={finding.pod}")
            events = [item.get("message", "") for item in items if item.get("reason") == "Unhealthy"]
    return diagnose.cause_of(finding, image, events), diagnose.last_lines(logs)


def read_last_logs(cluster: Cluster, app: str, finding: diagnose.Finding) -> str:
    options = {"tailLines": str(diagnose.LINES)}
    if finding.logs_of_previous:
        with contextlib.suppress(ClusterError):
            if text := cluster.logs(app, finding.pod, previous="true", **options):
                return text
    return cluster.logs(app, finding.pod, **options)


def prune(cluster: Cluster, app: str, manifests: Iterable[Manifest]) -> None:
    """Deletes the app's objects that `manifests` don't mention; the newest environments stay for pods still leaving."""
    kept = {(m["kind"], m["metadata"]["name"]) for m in manifests}
    for kind in PRUNED:
        items, _ = cluster.list(kind, app, OURS)
        for name in plan_prune(kind, [item["metadata"]["name"] for item in items], kept):
            cluster.delete(kind, app, name)


def plan_prune(kind: str, names: list[str], kept: set[tuple[str, str]]) -> list[str]:
    """Which of `names` to delete."""
    extra = [name for name in names if (kind, name) not in kept]
    if kind != "Secret":
        return extra
    environments = sorted((n for n in names if _environment_version(n) is not None), key=_environment_version)
    return [name for name in extra if name not in environments[-ENVIRONMENTS_KEPT:]]


def _environment_version(name: str) -> int | None:
    head, _, version = name.removesuffix("-env").rpartition("-v")
    return int(version) if name.endswith("-env") and head and version.isdigit() else None
