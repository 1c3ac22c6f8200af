"""The record of builds: begun, finished, claimed by the builder, cancelled, forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from controller import builder_api
from controller.actions import operations
from controller.errors import Conflict, Missing, PaasError
from controller.models import App, Build, BuildRun, GitSource, Operation, Release, User

STOPPED = "the builder stopped in the middle of this build"
ATTEMPTS = 3  # builders a queued run may outlive before it counts as the cause
LONGEST_CAUSE = 2000  # characters


class Repeated(Conflict):
    """The delivery was taken before; `run` is what came of it."""

    def __init__(self, run: BuildRun):
        super().__init__(f"delivered before: build {run.number} is {run.state}")
        self.run = run


def begin(*, app: App, by: User | None, source: str, delivery: str = "", state: str = "", **fields: Any) -> BuildRun:
    """A new run, building at once unless `state` says queued. Raises: Repeated."""
    with transaction.atomic():
        operations.lock(app)
        if delivery:
            free_delivery(app, delivery)
        number = (app.build_runs.aggregate(highest=Max("number"))["highest"] or 0) + 1
        state = state or BuildRun.BUILDING
        started = timezone.now() if state == BuildRun.BUILDING else None
        return BuildRun.objects.create(
            app=app, by=by, number=number, source=source, delivery=delivery, state=state, started=started, **fields
        )


def free_delivery(app: App, delivery: str) -> None:
    """A delivery that came to nothing may be sent again. Raises: Repeated for one that did or may yet."""
    known = app.build_runs.filter(delivery=delivery).first()
    if known is None:
        return
    if known.state not in (BuildRun.FAILED, BuildRun.CANCELLED):
        raise Repeated(known)
    BuildRun.objects.filter(pk=known.pk).update(delivery="")


def finish(
    run: BuildRun, state: str, *, cause: str = "", hint: str = "", sha: str = "", ended: datetime | None = None
) -> None:
    """Ends an unfinished run, now unless `ended` says when; one that is over stays as it is."""
    now = ended or timezone.now()
    fields: dict[str, Any] = {"state": state, "cause": cause[:LONGEST_CAUSE], "hint": hint[:LONGEST_CAUSE]}
    if sha:
        fields["sha"] = sha
    rows = BuildRun.objects.filter(pk=run.pk, state__in=BuildRun.UNFINISHED)
    rows.filter(started=None).update(started=now)
    rows.update(ended=now, claimed=False, updated=now, **fields)


def stop_deploy(run: BuildRun) -> None:
    """Stops the deploy of a cancelled run's release, if it is still on its way: the push didn't go through either."""
    row = BuildRun.objects.select_related("by").get(pk=run.pk)
    unfinished = Operation.objects.filter(app=row.app_id, release__version=row.release, state__in=Operation.UNFINISHED)
    operation = unfinished.select_related("app", "release").first() if row.release else None
    if operation is not None:
        operations.ask_to_stop(operation, row.by.username if row.by else "the pusher")


def start(run: BuildRun) -> bool:
    """A claimed run's turn has come; False when it was cancelled meanwhile."""
    now = timezone.now()
    rows = BuildRun.objects.filter(pk=run.pk, state=BuildRun.QUEUED)
    return bool(rows.update(state=BuildRun.BUILDING, started=now, updated=now))


def released(run: BuildRun, build: Build, release: Release) -> None:
    """The image is made, and its release on its way."""
    BuildRun.objects.filter(pk=run.pk).update(build=build, release=release.version, sha=build.sha or run.sha)


@contextmanager
def recorded(run: BuildRun) -> Iterator[None]:
    """The run succeeds with this context, or fails with what is raised in it."""
    try:
        yield
    except PaasError as exc:
        finish(run, BuildRun.FAILED, cause=str(exc))
        raise
    except Exception:
        finish(run, BuildRun.FAILED, cause="the controller failed; its operator finds the reason in the log")
        raise
    else:
        finish(run, BuildRun.SUCCEEDED)


def claim() -> tuple[BuildRun, GitSource | None] | None:
    """The oldest run that waits for a builder, now claimed; None when there is none."""
    while True:
        waiting = BuildRun.objects.filter(state=BuildRun.QUEUED, claimed=False).exclude(source="docker-push")
        run = waiting.select_related("app", "app__owner", "app__settings", "by").order_by("created").first()
        if run is None:
            return None
        rows = BuildRun.objects.filter(pk=run.pk, state=BuildRun.QUEUED, claimed=False)
        if rows.update(claimed=True, attempts=F("attempts") + 1):
            return run, GitSource.objects.select_related("owner").filter(app=run.app).first()


def take_up_abandoned(age: float = 0) -> None:
    """A builder began `age` seconds ago: what the one before it had claimed is queued again, and what that one built
    for somebody has failed.
    """
    before = timezone.now() - timedelta(seconds=age)
    theirs = BuildRun.objects.filter(state__in=BuildRun.UNFINISHED, created__lt=before)
    for run in theirs.exclude(source__in=("image", "docker-push")):
        if run.build_id:
            settle(run)
        elif run.wish and run.attempts < ATTEMPTS:
            BuildRun.objects.filter(pk=run.pk).update(state=BuildRun.QUEUED, claimed=False, started=None)
        else:
            finish(run, BuildRun.FAILED, cause=STOPPED, hint="Deploy again.")


def settle(run: BuildRun) -> None:
    """Ends a run as the deploy of its release ended; nobody was left to tell."""
    operation = Operation.objects.filter(release__build_id=run.build_id).order_by("-id").first()
    if operation is None or operation.finished:
        failed = operation is not None and operation.state == Operation.FAILED
        told = {"cause": operation.message, "ended": operation.heartbeat} if operation else {}
        finish(run, BuildRun.FAILED if failed else BuildRun.SUCCEEDED, **told)


def run_of(app: App, number: int) -> BuildRun:
    """Raises: Missing."""
    run = app.build_runs.select_related("app", "by", "build").filter(number=number).first()
    if run is None:
        raise Missing("Build")
    return run


def ahead_of_waiting() -> dict[UUID, int]:
    """Of every run that waits for the builder to take it up, how many it takes up before."""
    waiting = BuildRun.objects.filter(state=BuildRun.QUEUED).exclude(source="docker-push").order_by("created")
    return {pk: number for number, pk in enumerate(waiting.values_list("pk", flat=True))}


def cancel(run: BuildRun) -> None:
    """Calls off a run that waits.

    One that is being built is the builder's to stop. Raises: Conflict when it is over.
    """
    if run.finished:
        raise Conflict(f"Build {run.number} is over: it {run.state}.")
    if run.state == BuildRun.QUEUED:
        finish(run, BuildRun.CANCELLED, cause="cancelled before it began")


def stop(run: BuildRun, by: User) -> None:
    """Calls off a run wherever it is, asking the builder for one that it has. Raises: Conflict, BuilderAway."""
    cancel(run)
    if run_of(run.app, run.number).state == BuildRun.BUILDING:
        builder_api.stop_build(run, by.username)


def forget_old_runs() -> None:
    """Keeps the newest runs of each app, and ends those whose end nobody told."""
    for run in BuildRun.objects.filter(state=BuildRun.BUILDING).exclude(build=None):
        settle(run)
    day = timezone.now() - timedelta(days=1)
    for run in BuildRun.objects.filter(state=BuildRun.BUILDING, started__lt=day):
        finish(run, BuildRun.FAILED, cause=STOPPED)
    for app in App.objects.all():
        newest = app.build_runs.order_by("-number").values_list("number", flat=True)
        if beyond := newest[settings.BUILD_RUNS_KEPT : settings.BUILD_RUNS_KEPT + 1]:
            app.build_runs.filter(number__lte=beyond[0]).exclude(state__in=BuildRun.UNFINISHED).delete()
