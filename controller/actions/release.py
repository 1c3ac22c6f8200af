"""Releases: made, numbered, described, failed, rolled back to."""

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from controller.actions import operations
from controller.actions.config_refresh import mark_dependents_stale
from controller.actions.events import record
from controller.actions.failure import mark_failed
from controller.actions.structure import plan_structure
from controller.actions.summary import describe_change
from controller.errors import BadRequest, Conflict
from controller.models import App, Build, Config, Operation, Release, User
from controller.outbox import enqueue

CODE, CONFIG = "code", "config"  # the halves of a release that a rollback may be confined to
FORCED_TRIES = 5  # a rollback's attempts to come between deploys that others keep starting


def create_release(
    *, app: App, by: User, build: Build | None, config: Config, cause: str, summary: str | None = None
) -> Release:
    """The next release of `app`, made by `cause` (models/release.py). Needs `operations.lock(app)`.

    Raises: Conflict when it would equal the current one.
    """
    previous = app.current_release()
    text = summary or describe_change(by.username, previous, build, config)
    if not text:
        raise Conflict(f"{by.username} changed nothing - release stopped")
    highest = app.releases.aggregate(highest=Max("version"))["highest"] or 0
    release = Release.objects.create(
        app=app,
        owner=by,
        version=highest + 1,
        build=build,
        config=config,
        cause=cause,
        summary=text,
        structure=app.structure,
    )
    record(app, text)
    if previous is not None and previous.config_id != config.pk:
        mark_dependents_stale(app, by, f"{by.username} changed config")
    transaction.on_commit(lambda: announce(release))
    return release


def announce(release: Release) -> None:
    """Queues the operator's deploy hooks."""
    for url in settings.DEPLOY_HOOK_URLS:
        enqueue("controller.send_deploy_hook", str(release.pk), url)


def begin_deploy(*, app: App, release: Release, by: User, structure_before: dict[str, int]) -> Operation:
    """The operation that brings `release` live. Needs `operations.lock(app)`.

    Raises: InProgress, with the release marked failed; commit before raising on.
    """
    try:
        return operations.begin(
            app=app, release=release, by=by, kind=Operation.DEPLOY, structure_before=structure_before
        )
    except operations.InProgress as exc:
        mark_failed(release, str(exc))
        raise


def take_structure(
    app: App, build: Build, previous: Build | None, declared: dict[str, int] | None = None
) -> dict[str, int]:
    """Gives `app` the formation for `build`, with `declared` counts of its own; returns the one before.

    Needs `operations.lock(app)`.
    """
    before = app.structure
    app.structure = plan_structure(before, build, previous) | (declared or {})
    app.save(update_fields=["structure", "procfile_structure", "updated"])
    return before


def roll_back(*, app: App, version: int | None, by: User, only: str = "") -> tuple[Release, Operation | None]:
    """A new release with the build and config of `version` (default: the one before the current), and its deploy.

    `only` may be CODE or CONFIG: the other one stays as it is. A deploy under way is stopped for it.
    Raises: BadRequest, Conflict.
    """
    target = rollback_target(app, version)
    for _ in range(FORCED_TRIES):
        operations.supersede(app)
        with transaction.atomic():
            app = operations.lock(app)
            if operations.unfinished(app) is None:
                return make_rollback(app, target, by, only)
    raise Conflict(f"{app.name} is being deployed again and again; try the rollback once more")


def make_rollback(app: App, target: Release, by: User, only: str) -> tuple[Release, Operation | None]:
    """The release that goes back to `target`, and its deploy. Needs `operations.lock(app)` and nothing under way."""
    current = app.current_release()
    build = current.build if only == CONFIG and current else target.build
    config = current.config if only == CODE and current else target.config
    if build is None and current and current.build:
        raise BadRequest(f"v{target.version} has no build that could run; only its config can come back.")
    summary = f"{by.username} rolled back to v{target.version}" + (f" ({only} only)" if only else "")
    release = create_release(app=app, by=by, build=build, config=config, cause=Release.ROLLBACK, summary=summary)
    if build is None:
        return release, None
    before = take_structure(app, build, current.build if current else None)
    return release, begin_deploy(app=app, release=release, by=by, structure_before=before)


def rollback_target(app: App, version: int | None) -> Release:
    """The release to go back to; without a version the newest before the current one that didn't fail.

    Raises: BadRequest.
    """
    current = app.current_release()
    if version is None:
        older = app.releases.filter(failed=False, version__lt=current.version if current else 0).order_by("-version")
        if current and current.build:
            older = older.filter(build__isnull=False)
        version = older.values_list("version", flat=True).first() or 0
        if not version and current and current.build:
            raise BadRequest(f"Nothing ran before v{current.version}: there is no release to go back to.")
    if version < 1:
        raise BadRequest("version cannot be below 0")
    if version == 1:
        raise BadRequest("Cannot roll back to initial release.")
    target = app.releases.filter(version=version).select_related("build", "config").first()
    if target is None:
        raise BadRequest("Release matching query does not exist.")
    if target.failed:
        raise BadRequest("Cannot roll back to failed release.")
    if target.build and target.build.collected:
        raise BadRequest(f"The image of v{version} is no longer kept; push its commit again.")
    return target
