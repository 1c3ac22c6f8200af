"""`docker push REGISTRY/APP` makes a release: the registry's notification is queued, then the image is deployed.

A notification may come twice (the registry repeats what wasn't answered) and in any order of time; equal ids are one
event, and an image that runs already is not released again. Source: Distribution's notifications, `events` of
`application/vnd.docker.distribution.events.v1+json`.
"""

import logging
import re
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from controller.access import DEVELOP, app_for
from controller.actions import build_runs, operations
from controller.actions.build import InProgressBuild, create_build
from controller.actions.events import record
from controller.actions.image_ports import exposed_ports
from controller.actions.notices import emit
from controller.errors import PaasError
from controller.models import App, BuildRun, User
from controller.outbox import enqueue

log = logging.getLogger(__name__)
SOURCE = "docker-push"
HINTS = (("Expose a port", "`paas config:set PORT=…`, or EXPOSE in its Dockerfile, says it; then push again."),)
LOST_AFTER = timedelta(minutes=2)
BUILT = re.compile(r"git-[0-9a-f]{8}")  # tags of the builder, which reports its images itself
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
IMAGE_TYPES = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)


def take_events(events: list[Any]) -> list[BuildRun]:
    """The runs that the notifications make; each is released by a worker."""
    taken = []
    for event in events:
        if isinstance(event, dict) and (run := take_event(event)):
            taken.append(run)
    return taken


def take_event(event: dict[str, Any]) -> BuildRun | None:
    target, request, actor = (event.get(name) or {} for name in ("target", "request", "actor"))
    digest, tag = str(target.get("digest") or ""), str(target.get("tag") or "")
    is_image = event.get("action") == "push" and target.get("mediaType") in IMAGE_TYPES and DIGEST.fullmatch(digest)
    if not is_image or not tag or BUILT.fullmatch(tag):
        return None
    app = App.objects.select_related("owner").filter(name=str(target.get("repository") or "")).first()
    by = pusher(app, str(actor.get("name") or "")) if app else None
    if app is None or by is None:
        return None
    try:
        with transaction.atomic():
            run = build_runs.begin(
                app=app, by=by, source=SOURCE, origin=str(request.get("addr") or "")[:255], ref=tag[:255],
                state=BuildRun.QUEUED, delivery=str(event.get("id") or "")[:128], wish={"digest": digest},
            )  # fmt: skip
            transaction.on_commit(lambda: enqueue("controller.release_pushed_image", str(run.pk)))
    except build_runs.Repeated:
        return None
    return run


def pusher(app: App, name: str) -> User | None:
    """Whose the release is: the pusher's, and the owner's for who used the platform's own credentials."""
    if name == settings.REGISTRY_CREDENTIALS.get("username"):
        return app.owner
    user = User.objects.filter(username=name, is_active=True).first()
    try:
        return user if user and app_for(user, app.name, DEVELOP) else None
    except PaasError:
        log.warning("image pushed by someone without a right to the app", extra={"app": app.name, "user": name})
        return None


def release(run_id: str) -> None:
    """Deploys a queued image, unless the app is busy: then the next look does."""
    run = BuildRun.objects.select_related("app", "by").filter(pk=run_id, state=BuildRun.QUEUED).first()
    if run is None or operations.unfinished(run.app) or is_behind_another(run):
        return
    image = f"{settings.REGISTRY_HOST}/{run.app.name}@{run.wish['digest']}"
    current = run.app.current_release()
    if current.build and current.build.image == image:
        build_runs.finish(run, BuildRun.SKIPPED, cause=f"v{current.version} runs this very image")
        return
    if not build_runs.start(run):
        return
    try:
        ports = exposed_ports(run.app.name, run.wish["digest"])
        build, operation = create_build(app=run.app, by=run.by or run.app.owner, image=image, ports=ports)
        build_runs.released(run, build, operation.release)
    except InProgressBuild:
        BuildRun.objects.filter(pk=run.pk).update(state=BuildRun.QUEUED)
    except PaasError as exc:
        refuse(run, str(exc))


def refuse(run: BuildRun, cause: str) -> None:
    """Tells where the app's people look, since `docker push` itself has long succeeded."""
    hint = next((hint for words, hint in HINTS if words in cause), "")
    text = f"{run.app.name}:{run.ref}, pushed with docker, is not released: {cause}"
    with transaction.atomic():
        build_runs.finish(run, BuildRun.FAILED, cause=cause, hint=hint)
        record(run.app, f"{text}. {hint}".rstrip(), "ERROR")
        emit(run.app, "deploy.failed", text)


def is_behind_another(run: BuildRun) -> bool:
    waiting = BuildRun.objects.filter(app=run.app, source=SOURCE, number__lt=run.number)
    return waiting.filter(state__in=BuildRun.UNFINISHED).exists()


def take_up_waiting() -> None:
    """Releases what waited for a busy app or a lost message, and ends runs whose deploy has ended."""
    for run in BuildRun.objects.filter(source=SOURCE, state=BuildRun.BUILDING):
        if run.build_id:
            build_runs.settle(run)
        elif run.started and run.started < timezone.now() - LOST_AFTER:  # a worker died before the release was made
            BuildRun.objects.filter(pk=run.pk, state=BuildRun.BUILDING, build=None).update(state=BuildRun.QUEUED)
    for run in BuildRun.objects.filter(source=SOURCE, state=BuildRun.QUEUED).order_by("number"):
        release(str(run.pk))
