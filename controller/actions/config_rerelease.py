"""Releases for apps whose shared config has changed, made by a worker."""

from django.db import transaction

from controller.actions import operations
from controller.actions.config_refresh import resolve
from controller.actions.release import begin_deploy, create_release, take_structure
from controller.models import App, Config, ConfigRefresh, Operation, Release


def refresh_configs() -> None:
    """Makes the releases that are due; what is busy waits for the next time."""
    for pk in list(ConfigRefresh.objects.order_by("pk").values_list("app_id", flat=True)):
        refresh(pk)


def refresh(pk) -> None:
    """The app's release with its shared config as it is now, unless it is so already."""
    with transaction.atomic():
        row = ConfigRefresh.objects.select_for_update(of=("self",)).select_related("by").filter(app_id=pk).first()
        if row is None:
            return
        app = operations.lock(App(pk=pk))
        if is_unsettled(app):
            return
        by, current = row.by or app.owner, app.current_release()
        resolved = resolve(app, current.config)
        row.delete()
        if resolved == current.config.resolved:
            return
        config = Config.objects.create(
            app=app, owner=by, resolved=resolved, secret_keys=current.config.secret_keys, **current.config.sections()
        )
        release = create_release(
            app=app, by=by, build=current.build, config=config, cause=Release.CONFIG, summary=row.reason
        )
        if current.build is not None:
            before = take_structure(app, current.build, current.build)
            begin_deploy(app=app, release=release, by=by, structure_before=before)


def is_unsettled(app: App) -> bool:
    """Whether `app`, or one that it takes variables from, is being deployed: that may yet fail and be undone."""
    concerned = [app.pk, *app.config_links.exclude(source=None).values_list("source_id", flat=True)]
    return Operation.objects.filter(state__in=Operation.UNFINISHED, app_id__in=concerned).exists()
