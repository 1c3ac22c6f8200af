"""Operations: begun by a request, carried out by a worker, waited for by the request.

`begin` writes the row and, once it is committed, sends its id to a worker; `wait` follows the row. Requests,
workers and Redis may die in between: `recover` sends again what nobody holds.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from controller.actions.announce import announce, failed_text
from controller.actions.events import record
from controller.actions.failure import mark_failed
from controller.errors import BadRequest, ClusterTrouble, Conflict
from controller.models import App, Operation, OutputLine, Release, User
from controller.outbox import enqueue
from controller.wakeups import Waiter, wake

log = logging.getLogger(__name__)

UNCLAIMED_AFTER = 45  # seconds without any worker alive before whoever waits calls an operation off
PATIENCE = 7200  # seconds at most that a request waits; far above any deploy's own deadline
QUIET = 15.0  # seconds without output until a follower is told that there is none


class OperationFailed(BadRequest):
    """The operation ended badly; the text is its reason."""


class InProgress(Conflict):
    """Another operation of the app isn't finished."""


def lock(app: App) -> App:
    """`app` as it stands, held against other writers until the transaction ends.

    The row alone is held, and new rows may point at it and at its owner meanwhile.
    """
    return _held().select_related("owner").get(pk=app.pk)


def hold_for_end(operation: Operation) -> None:
    """Holds the operation's app until the transaction ends, which ends the operation and fails its release at once.

    Else whoever holds the app could take the release for good, and then find that nothing is under way.
    """
    _held().filter(pk=operation.app_id).first()


def _held() -> QuerySet[App]:
    return App.objects.select_for_update(of=("self",), no_key=True)


def unfinished(app: App) -> Operation | None:
    return app.operations.filter(state__in=Operation.UNFINISHED).select_related("by", "release").first()


def refuse_if_busy(app: App) -> None:
    """Raises: InProgress, with the holder's name and since when."""
    if holder := unfinished(app):
        kind = next(iter(sorted(app.structure, key=lambda t: t != "web")), "web")
        raise InProgress(
            f"Deployment for {app.name}-{kind} is already in progress",
            holder=holder.by.username if holder.by else None,
            since=holder.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            release=f"v{holder.release.version}",
        )


def begin(*, app: App, release: Release, by: User | None, kind: str, structure_before: dict[str, int]) -> Operation:
    """The new operation, on its way to a worker as soon as the transaction commits. Needs `lock(app)`.

    Raises: InProgress.
    """
    refuse_if_busy(app)
    operation = Operation.objects.create(app=app, release=release, by=by, kind=kind, structure_before=structure_before)
    transaction.on_commit(lambda: send(operation.pk))
    return operation


def send(operation_id: int) -> None:
    """Hands an operation to the workers; when the queue is away, recovery will."""
    enqueue("controller.carry_out_operation", operation_id)


def supersede(app: App, patience: float | None = None) -> None:
    """Stops the app's unfinished operation and returns when it is over.

    Raises: Conflict when it won't stop.
    """
    deadline = time.monotonic() + (patience or settings.ABANDONED_AFTER + 10)
    while holder := unfinished(app):
        Operation.objects.filter(pk=holder.pk).update(superseded=True)
        if end_superseded(holder, "superseded before it began", ending=(Operation.QUEUED,)):
            return
        if time.monotonic() > deadline:
            raise Conflict(f"v{holder.release.version} is still being deployed and doesn't stop; try again in a minute")
        with Waiter(topic(holder.pk)) as waiter:
            waiter.wait(0.5)
        recover()


def end_superseded(
    operation: Operation, text: str, runner: str | None = None, ending: tuple[str, ...] = Operation.UNFINISHED
) -> bool:
    """Ends an operation in one of the states `ending` that gave way; False when another did, or holds it.

    A scale or a restore has succeeded all the same: what it wished is what the operation after it starts from.
    """
    if operation.kind != Operation.DEPLOY:
        return finish(operation, Operation.SUCCEEDED, runner=runner, ending=ending)
    with transaction.atomic():
        hold_for_end(operation)
        if not finish(operation, Operation.FAILED, text, runner=runner, ending=ending):
            return False
        mark_failed(operation.release, text)
        record(operation.app, text, "ERROR")
        announce(operation.app, "deploy.failed", release=operation.release, text=failed_text(operation.release, text))
    return True


def topic(operation_id: int) -> str:
    return f"operation:{operation_id}"


def wait(operation: Operation) -> None:
    """Returns once `operation` has succeeded. Raises: OperationFailed."""
    for _ in follow(operation):
        """Progress is for those who asked for it."""


def follow(operation: Operation) -> Iterator[OutputLine | None]:
    """The operation's output as it comes, and None now and then while there is none; ends when it has succeeded.

    Raises: OperationFailed, ClusterTrouble.
    """
    deadline, told, quiet_since = time.monotonic() + PATIENCE, 0, time.monotonic()
    with contextlib.ExitStack() as stack:
        waiter = None
        while True:
            try:
                operation.refresh_from_db()
            except Operation.DoesNotExist as exc:
                raise OperationFailed("the app was destroyed meanwhile") from exc
            for line in operation.output.filter(pk__gt=told).order_by("pk"):
                told, quiet_since = line.pk, time.monotonic()
                yield line
            if time.monotonic() - quiet_since > QUIET:
                quiet_since = time.monotonic()
                yield None
            if operation.finished:
                break
            if call_off_if_dead(operation):
                continue
            if time.monotonic() > deadline:
                raise ClusterTrouble(f"v{operation.release.version} is still under way; `paas releases` will tell")
            if waiter is None:
                waiter = stack.enter_context(Waiter(topic(operation.pk)))
                continue
            connection.close_if_unusable_or_obsolete()
            waiter.wait(1.0)
    if operation.state == Operation.FAILED:
        raise OperationFailed(operation.message)


def cancel(app: App, by: User, patience: float | None = None) -> Operation:
    """Stops the app's unfinished operation and returns it once what ran before is back.

    Raises: Conflict when nothing is under way, or when it won't stop.
    """
    operation = unfinished(app)
    if operation is None:
        raise Conflict(f"nothing of {app.name} is being deployed or scaled; there is nothing to cancel")
    if ask_to_stop(operation, by.username):
        return operation
    deadline = time.monotonic() + (patience or settings.ABANDONED_AFTER + 30)
    with Waiter(topic(operation.pk)) as waiter:
        while True:
            operation.refresh_from_db()
            if operation.finished:
                break
            if time.monotonic() > deadline:
                raise Conflict(f"v{operation.release.version} doesn't stop; `paas releases` tells when it has")
            waiter.wait(0.5)
            recover()
    if operation.state == Operation.SUCCEEDED:
        raise Conflict(f"too late to cancel: v{operation.release.version} is live; `paas rollback` goes back")
    return operation


def ask_to_stop(operation: Operation, by: str) -> bool:
    """Has the operation's worker stop and undo it; True when there is none yet, and it is over already."""
    Operation.objects.filter(pk=operation.pk).update(cancelled_by=by)
    return abandon(operation, f"cancelled by {by}", ending=(Operation.QUEUED,))


def abandon(operation: Operation, text: str, ending: tuple[str, ...] = Operation.UNFINISHED) -> bool:
    """Fails an operation that no worker holds; what it may have changed is put right by the next sync."""
    with transaction.atomic():
        hold_for_end(operation)
        if not finish(operation, Operation.FAILED, text, ending=ending):
            return False
        if operation.kind == Operation.DEPLOY:
            mark_failed(operation.release, text)
            release = operation.release
            announce(operation.app, "deploy.failed", release=release, text=failed_text(release, text))
        if operation.kind != Operation.RESTORE:
            App.objects.filter(pk=operation.app_id).update(structure=operation.structure_before)
        App.objects.filter(pk=operation.app_id).update(unsynced=True)
        record(operation.app, text, "ERROR")
    return True


def call_off_if_dead(operation: Operation) -> bool:
    """Fails an operation that no worker has touched for a while, when no worker shows any life."""
    limit = timezone.now() - timedelta(seconds=UNCLAIMED_AFTER)
    if operation.heartbeat > limit or Operation.objects.filter(state=Operation.RUNNING, heartbeat__gt=limit).exists():
        return False
    text = "no worker carried out the deploy; is controller-worker running? try again once it is"
    return abandon(operation, text)


def finish(
    operation: Operation,
    state: str,
    message: str = "",
    runner: str | None = None,
    ending: tuple[str, ...] = Operation.UNFINISHED,
) -> bool:
    """Ends an operation in one of the states `ending`; False when another did, or holds it."""
    rows = Operation.objects.filter(pk=operation.pk, state__in=ending)
    if runner is not None:
        rows = rows.filter(runner=runner)
    ended = rows.update(state=state, message=message, heartbeat=timezone.now())
    if ended:
        transaction.on_commit(lambda: wake(topic(operation.pk)))
    return bool(ended)


def claim(operation_id: int, runner: str) -> Operation | None:
    """The operation, now `runner`'s; None when it is finished or in good hands."""
    stale = timezone.now() - timedelta(seconds=settings.ABANDONED_AFTER)
    free = Q(state=Operation.QUEUED) | Q(state=Operation.RUNNING, heartbeat__lt=stale)
    claimed = Operation.objects.filter(free, pk=operation_id).update(
        state=Operation.RUNNING, runner=runner, heartbeat=timezone.now(), attempts=F("attempts") + 1
    )
    if not claimed:
        return None
    return Operation.objects.select_related(
        "app", "app__settings", "app__tls", "release", "release__build", "release__config", "by"
    ).get(pk=operation_id)


def recover() -> None:
    """Sends what waits unclaimed or whose runner is gone."""
    now = timezone.now()
    stale, waiting = (now - timedelta(seconds=s) for s in (settings.ABANDONED_AFTER, settings.RECOVERY_PERIOD))
    due = list(Operation.objects.filter(state=Operation.QUEUED, created__lt=waiting).values_list("pk", flat=True))
    for operation in Operation.objects.filter(state=Operation.RUNNING):
        if operation.heartbeat < stale or is_gone(operation.runner):
            released = Operation.objects.filter(
                pk=operation.pk, state=Operation.RUNNING, runner=operation.runner, heartbeat=operation.heartbeat
            ).update(state=Operation.QUEUED)
            if released:
                log.warning("operation taken up again", extra={"operation": operation.pk, "runner": operation.runner})
                due.append(operation.pk)
    for pk in due:
        send(pk)


def this_runner() -> str:
    """Who runs here: host, process, and when it started, so that a reused process id isn't mistaken for it."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def is_gone(runner: str) -> bool:
    """Whether `runner` was a process of this host that is no more."""
    host, pid, started = runner.rsplit(":", 2) if runner.count(":") >= 2 else ("", "0", "")
    return host == socket.gethostname() and _started(int(pid)) != started


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "gone"
