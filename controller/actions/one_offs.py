"""One-off commands: answered when they end, joined by a terminal, or left to run by themselves.

Each is a row and a pod. An attached one has a client, whose signs of life are the row's heartbeat; without them it is
stopped by whichever worker tends the rows. A detached one ends by itself, by its deadline, or when it is stopped.
"""

import logging
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from controller.actions.events import record
from controller.cluster.client import ClusterError, Unreachable, cluster
from controller.cluster.pods import ENDED, await_start, ending_of, provide, run_name, run_once
from controller.cluster.render import render_run, render_session
from controller.cluster.terminals import exec_query
from controller.cluster.wish import Wish, wish_of
from controller.errors import BadRequest, ClusterTrouble, Invalid, Missing, PaasError, TooManyTries
from controller.models import App, OneOff, User

log = logging.getLogger(__name__)

BEAT = 5.0  # seconds between a waiting request's signs of life
SILENT = 40  # seconds without a sign of an attached command's client until it is stopped; a few beats
LINGER = 20  # seconds a detached command's pod stays after its end, for the log to be read to its last line
KEPT = 100  # ended commands remembered per app
MOST_AT_ONCE = 50  # of one app
START_PATIENCE = 180.0  # seconds for a session's pod to come up; an image may have to be pulled
SESSION_SECONDS = 24 * 3600  # an interactive command's time limit


class ClientGone(PaasError):
    """Whoever waited hung up."""

    status = 499


def run(*, app: App, command: str, by: User, gone: Callable[[], bool] = lambda: False) -> tuple[int, str]:
    """Exit code and output of `command`; it is stopped once `gone()` says that nobody waits any more.

    Raises: BadRequest, ClusterTrouble, ClientGone.
    """
    wish = wish_to_run(app)
    row = _begin(app, wish, command, by, OneOff.ATTACHED, settings.RUN_TIMEOUT)
    next_beat = timezone.now()

    def tick() -> None:
        nonlocal next_beat
        if gone():
            raise ClientGone("the client hung up")
        if timezone.now() >= next_beat:
            next_beat = timezone.now() + timedelta(seconds=BEAT)
            beat(row)

    try:
        provide(cluster(), wish)
        code, output = run_once(cluster(), wish, row.name, command, timeout=settings.RUN_TIMEOUT, tick=tick)
    except PaasError as exc:
        _end(row, None, str(exc))
        raise
    _end(row, code)
    return code, output


def wish_to_run(app: App) -> Wish:
    """Raises: BadRequest without a build."""
    release = app.current_release()
    if release is None or release.build is None:
        raise BadRequest("No build associated with this release to run this command")
    return wish_of(app, release)


def open_session(*, app: App, command: str, tty: bool, offered: dict[str, str], by: User, gone: Callable[[], bool]):
    """A pod of its own with `command` in it, and the tunnel to its terminal. The pod goes with `end_session`.

    Raises: BadRequest, ClusterTrouble, ClientGone.
    """
    wish = wish_to_run(app)
    row = _begin(app, wish, command, by, OneOff.ATTACHED, SESSION_SECONDS)

    def tick() -> None:
        if gone():
            raise ClientGone("the client hung up")
        beat(row)

    api = cluster()
    try:
        provide(api, wish)
        api.create(render_session(wish, row.name, SESSION_SECONDS))
        await_start(api, app.name, row.name, timeout=START_PATIENCE, tick=tick)
        query = exec_query(wish.release, f"{app.name}-run", command, tty=tty)
        return row, api.open_tunnel(app.name, row.name, "exec", query, offered)
    except PaasError as exc:
        end_session(row, str(exc))
        raise


def end_session(row: OneOff, reason: str = "") -> None:
    """The session's pod is gone, and with it whatever still ran in it."""
    try:
        cluster().delete("Pod", row.app.name, row.name, grace=0)
    except ClusterTrouble as exc:
        log.warning("session's pod not removed, will be tended", extra={"pod": row.name, "error": str(exc)})
        return
    _end(row, None, reason)


def beat(row: OneOff) -> None:
    OneOff.objects.filter(pk=row.pk).update(heartbeat=timezone.now())


def detach(*, app: App, command: str, seconds: int, by: User) -> OneOff:
    """`command` begun in a pod of its own; nobody waits for it. Raises: BadRequest, Invalid, ClusterTrouble."""
    if not 1 <= seconds <= settings.DETACHED_TIMEOUT:
        raise Invalid(timeout=f"A time limit is from 1 to {settings.DETACHED_TIMEOUT} seconds")
    wish = wish_to_run(app)
    row = _begin(app, wish, command, by, OneOff.DETACHED, seconds)
    try:
        provide(cluster(), wish)
        cluster().create(render_run(wish, row.name, command, seconds))
    except ClusterTrouble as exc:
        _end(row, None, str(exc))
        raise
    return row


def one_off_named(app: App, name: str) -> OneOff:
    """By its pod's name, with or without the app before it. Raises: Missing."""
    row = app.one_offs.filter(name__in=(name, f"{app.name}-{name}", f"{app.name}-run-{name}")).first()
    if row is None:
        raise Missing("OneOff")
    return row


def stop(*, row: OneOff, by: User) -> None:
    """Ends a command that still runs. Raises: ClusterTrouble."""
    if row.ended is not None:
        return
    cluster().delete("Pod", row.app.name, row.name, grace=5)
    _end(row, None, f"stopped by {by.username}")
    record(row.app, f"{by.username} stopped {row.name}")


def _begin(app: App, wish: Wish, command: str, by: User, kind: str, seconds: int) -> OneOff:
    if app.one_offs.filter(ended=None).count() >= MOST_AT_ONCE:
        raise TooManyTries(f"{app.name} runs {MOST_AT_ONCE} one-off commands already; wait for one, or stop one")
    row = OneOff.objects.create(
        app=app,
        name=run_name(app.name),
        by=by,
        kind=kind,
        command=command,
        version=wish.release.version,
        deadline=timezone.now() + timedelta(seconds=seconds),
    )
    record(app, f"{by.username} on {row.name} runs '{command}'")
    return row


def _end(row: OneOff, exit_code: int | None, reason: str = "") -> None:
    OneOff.objects.filter(pk=row.pk, ended=None).update(ended=timezone.now(), exit_code=exit_code, reason=reason)


def tend() -> None:
    """Takes down what has ended, and what nobody waits for any more."""
    for app in App.objects.filter(one_offs__ended=None).distinct():
        try:
            _tend_app(app)
        except (ClusterError, Unreachable) as exc:
            log.warning("one-off commands not tended", extra={"app": app.name, "error": str(exc)})


def _tend_app(app: App) -> None:
    api, now = cluster(), timezone.now()
    pods = {pod["metadata"]["name"]: pod for pod in api.list("Pod", app.name, "type=run")[0]}
    for row in app.one_offs.filter(ended=None):
        pod = pods.get(row.name)
        if row.kind == OneOff.ATTACHED:
            if (now - row.heartbeat).total_seconds() > SILENT:
                api.delete("Pod", app.name, row.name, grace=0)
                _end(row, None, "the client hung up")
        elif pod is None:
            if (now - row.created).total_seconds() > LINGER:
                _end(row, None, "its pod was deleted")
        elif (pod.get("status") or {}).get("phase") in ENDED:
            ended = ending_of(pod)
            _end(row, ended.exit_code, _words(row, ended.reason))
            outcome = f"ended with {ended.exit_code}"
            record(app, f"{row.name} {outcome}" + (f": {words}" if (words := _words(row, ended.reason)) else ""))
    _remove_ended_pods(app, api, pods)


def _words(row: OneOff, reason: str) -> str:
    """Why a command ended, where its exit code doesn't say."""
    limit = round((row.deadline - row.created).total_seconds())
    return {
        "DeadlineExceeded": f"its time limit of {limit} s was over",
        "OOMKilled": "it took more memory than its limit",
        "Evicted": "its node ran out of room",
    }.get(reason, "")


def _remove_ended_pods(app: App, api, pods: dict[str, dict]) -> None:
    """Pods of commands whose end is on record, once their last lines had time to be read."""
    limit = timezone.now() - timedelta(seconds=LINGER)
    for name in app.one_offs.filter(name__in=list(pods), ended__lt=limit).values_list("name", flat=True):
        api.delete("Pod", app.name, name, grace=0)


def tidy() -> None:
    """Removes pods that linger, and forgets all but the newest ended commands of each app."""
    for app in App.objects.filter(one_offs__isnull=False).distinct():
        try:
            api = cluster()
            _remove_ended_pods(app, api, {p["metadata"]["name"]: p for p in api.list("Pod", app.name, "type=run")[0]})
        except (ClusterError, Unreachable) as exc:
            log.warning("ended commands not removed", extra={"app": app.name, "error": str(exc)})
        ended = app.one_offs.exclude(ended=None)
        if oldest := ended.order_by("-id").values_list("id", flat=True)[KEPT : KEPT + 1]:
            ended.filter(id__lte=oldest[0]).delete()
