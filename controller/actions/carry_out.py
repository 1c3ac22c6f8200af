"""What a worker does with an operation: bring the release about, or put the app back and say why."""

import contextlib
import logging
import time

from django.conf import settings
from django.db import transaction

from controller.actions.announce import announce, failed_text
from controller.actions.events import record
from controller.actions.failure import good_before, mark_failed
from controller.actions.operations import claim, end_superseded, finish, hold_for_end, this_runner, unfinished
from controller.actions.phases import run_after, run_before
from controller.actions.pulse import LostClaim, Pulse
from controller.actions.watches import begin_watch, processes_of
from controller.cluster.client import Cluster, Unreachable, WatchExpired, cluster
from controller.cluster.deploy import (
    OURS,
    RolloutFailed,
    Superseded,
    apply_all,
    keep_autoscaled,
    prune,
    roll_out,
)
from controller.cluster.health import restarts_of
from controller.cluster.render import render, render_base
from controller.cluster.strategy import total_timeout
from controller.cluster.wish import wish_of
from controller.errors import ClusterTrouble, Missing, PaasError
from controller.models import App, Operation, Release

log = logging.getLogger(__name__)


def carry_out(operation_id: int) -> None:
    """Carries the operation out, unless another worker holds it."""
    runner = this_runner()
    operation = claim(operation_id, runner)
    if operation is None:
        return
    pulse, began = Pulse(operation, runner), time.monotonic()
    extra = {"operation": operation.pk, "app": operation.app.name, "release": operation.release.version}
    try:
        if operation.attempts > settings.MAX_ATTEMPTS:
            raise RolloutFailed(f"given up: {operation.attempts - 1} workers in a row ended during it")
        bring_about(cluster(), operation, pulse)
    except LostClaim:
        return
    except Superseded as exc:
        end_superseded(operation, str(exc), runner)
    except PaasError as exc:
        end_badly(operation, runner, failure_text(operation, exc))
    except Exception as exc:
        log.exception("operation broke", extra=extra)
        end_badly(operation, runner, f"the controller failed ({type(exc).__name__}); its log says more")
    else:
        end_well(operation, runner)
    seconds = round(time.monotonic() - began, 2)
    log.info("operation ended", extra={**extra, "kind": operation.kind, "seconds": seconds})


def failure_text(operation: Operation, exc: PaasError) -> str:
    """Deis' words for an error of the scheduler, the diagnosis as it is."""
    if isinstance(exc, ClusterTrouble):
        verb = "scale" if operation.kind == Operation.SCALE else "app::deploy"
        return f"({verb}): {exc}"
    return str(exc)


def bring_about(api: Cluster, operation: Operation, pulse: Pulse) -> None:
    """The release of `operation` live, and nothing of older ones left. Raises: PaasError."""
    app, release = operation.app, operation.release
    pulse.tick()
    wish = wish_of(app, release, nodes=count_nodes(api))
    if operation.kind == Operation.DEPLOY:
        run_before(api, operation, wish, pulse)
    manifests = render(wish)
    roll_out(
        api,
        app.name,
        release.version,
        manifests,
        timeout=total_timeout(wish, settings.DEPLOY_TIMEOUT),
        tick=pulse.tick,
        report=pulse.report,
        scaled=scaled_by(operation),
    )
    pulse.tick()
    prune(api, app.name, manifests)
    with transaction.atomic():
        Release.objects.filter(pk=release.pk).update(structure=app.structure)
        App.objects.filter(pk=app.pk).update(unsynced=False)
    if operation.kind == Operation.DEPLOY:
        run_after(api, operation, wish, pulse)


def scaled_by(operation: Operation) -> set[str]:
    """The Deployments whose number somebody has asked for, when that is what `operation` is."""
    if operation.kind != Operation.SCALE:
        return set()
    app, before = operation.app, operation.structure_before
    return {f"{app.name}-{kind}" for kind, count in app.structure.items() if count != before.get(kind)}


def end_well(operation: Operation, runner: str) -> None:
    """The operation has succeeded; a release that went live with it is watched from now on."""
    restarts: dict[str, int] = {}
    if operation.kind == Operation.DEPLOY:
        with contextlib.suppress(ClusterTrouble):
            restarts = restarts_of(processes_of(cluster(), operation.release))
    with transaction.atomic():
        if finish(operation, Operation.SUCCEEDED, runner=runner) and operation.kind == Operation.DEPLOY:
            begin_watch(operation, restarts)
            text = f"v{operation.release.version} is live: {operation.release.summary}"
            announce(operation.app, "deploy.succeeded", release=operation.release, text=text)


def count_nodes(api: Cluster) -> int:
    try:
        return max(len(api.list("Node", None)[0]), 1)
    except ClusterTrouble:
        return 1


def end_badly(operation: Operation, runner: str, text: str) -> None:
    """Marks the operation and its release failed, after the previous release's objects are back."""
    app = operation.app
    try:
        go_back(cluster(), operation)
    except (ClusterTrouble, WatchExpired) as exc:
        log.warning("putting back failed, will be retried", extra={"app": app.name, "error": str(exc)})
        App.objects.filter(pk=app.pk).update(unsynced=True)
    with transaction.atomic():
        hold_for_end(operation)
        if not finish(operation, Operation.FAILED, text, runner=runner):
            return
        if operation.kind == Operation.DEPLOY:
            mark_failed(operation.release, text)
            announce(app, "deploy.failed", release=operation.release, text=failed_text(operation.release, text))
        record(app, text, "ERROR")


def go_back(api: Cluster, operation: Operation) -> None:
    """Formation and objects as they were before `operation`; a first release that failed runs nothing."""
    app = operation.app
    App.objects.filter(pk=app.pk).update(structure=operation.structure_before)
    app.structure = operation.structure_before
    previous = previous_release(operation)
    manifests = render(wish_of(app, previous, nodes=count_nodes(api)))
    apply_all(api, manifests, tick=lambda: None)
    if previous is None:
        for deployment in api.list("Deployment", app.name, OURS)[0]:
            api.delete("Deployment", app.name, deployment["metadata"]["name"])
        return
    prune(api, app.name, manifests)


def previous_release(operation: Operation) -> Release | None:
    """What is to run when `operation` failed: after a deploy the newest good release with a build before it."""
    if operation.kind != Operation.DEPLOY:
        return operation.release
    return good_before(operation.release)


def sync(app: App) -> None:
    """Tells the cluster of an app's routing, formation and certificates as they stand; no waiting.

    While an operation is under way the processes are left to it.
    Raises: ClusterTrouble, after noting that the app is to be synced later; Missing when it was destroyed meanwhile.
    """
    if not App.objects.filter(pk=app.pk).update(unsynced=True):
        raise Missing("App")
    app = App.objects.select_related("settings", "tls").get(pk=app.pk)
    api, release, busy = cluster(), app.current_release(), unfinished(app)
    wish = wish_of(app, release, nodes=count_nodes(api))
    manifests = render_base(wish) if busy else render(wish)
    try:
        apply_all(api, keep_autoscaled(api, manifests), tick=lambda: refuse_destroyed(app))
    except Missing:
        if not App.objects.filter(name=app.name).exists():
            api.delete("Namespace", None, app.name)  # what was applied since, it would be nobody's
        raise
    if not busy:
        prune(api, app.name, manifests)
    App.objects.filter(pk=app.pk).update(unsynced=False)


def refuse_destroyed(app: App) -> None:
    """Raises: Missing when there is no such app any more; nothing is to be made of it again."""
    if not App.objects.filter(pk=app.pk).exists():
        raise Missing("App")


def resync_apps() -> None:
    """Syncs the apps whose last change the cluster has yet to hear of."""
    for app in App.objects.filter(unsynced=True).exclude(operations__state__in=Operation.UNFINISHED):
        try:
            sync(app)
        except (ClusterTrouble, Unreachable, Missing) as exc:
            log.warning("app still unsynced", extra={"app": app.name, "error": str(exc)})
