"""Process types stopped and started again: how many ran is remembered in between."""

from django.db import transaction

from controller.actions import operations
from controller.actions.app import scale_app
from controller.actions.structure import can_run
from controller.errors import BadRequest, NotFound
from controller.models import App, Build, Operation, User


def stop_types(*, app: App, kinds: list[str], by: User) -> tuple[list[str], Operation | None]:
    """The types that are being stopped, all that run when none is named, and the operation that stops them.

    Raises: BadRequest, NotFound, InProgress.
    """
    with transaction.atomic():
        app = operations.lock(app)
        refuse_unknown(app, kinds)
        running = [kind for kind in kinds or sorted(app.structure) if app.structure.get(kind)]
        if not running:
            return [], None
        remembered = {kind: app.structure[kind] for kind in running}
        operation = scale_app(app=app, counts=dict.fromkeys(running, 0), by=by)
        App.objects.filter(pk=app.pk).update(stopped={**app.stopped, **remembered})
    return running, operation


def start_types(*, app: App, kinds: list[str], by: User) -> tuple[dict[str, int], Operation | None]:
    """What is started again: the named types, or all that were stopped, with as many processes as they had.

    A named type that was never stopped gets one. Raises: BadRequest, NotFound, InProgress.
    """
    with transaction.atomic():
        app = operations.lock(app)
        build = refuse_unknown(app, kinds)
        wanted = kinds or [kind for kind in sorted(app.stopped) if can_run(build, kind)]
        counts = {kind: app.stopped.get(kind, 1) for kind in wanted if not app.structure.get(kind)}
        if not counts:
            return {}, None
        operation = scale_app(app=app, counts=counts, by=by)
        left = {kind: count for kind, count in app.stopped.items() if kind not in wanted}
        App.objects.filter(pk=app.pk).update(stopped=left)
    return counts, operation


def refuse_unknown(app: App, kinds: list[str]) -> Build:
    """The current build. Raises: NotFound, BadRequest without a build."""
    release = app.current_release()
    if release is None or release.build is None:
        raise BadRequest("No build associated with this release")
    for kind in kinds:
        if kind not in app.structure and kind not in release.build.procfile:
            raise NotFound(f"Container type {kind} does not exist in application")
    return release.build
