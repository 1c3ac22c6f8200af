"""Pipelines: made, shown, filled, removed; and which apps come after one.

A pipeline is seen by its owner, by administrators, and by whoever may see one of its apps; only the apps that somebody
may see are shown. Its owner and administrators change it; what happens to an app goes through the app's own door.
"""

from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery

from controller.access import CONFIGURE, DEVELOP, app_for, visible_apps
from controller.actions.events import record
from controller.errors import BadRequest, Conflict, Forbidden, Invalid, Missing
from controller.models import App, Pipeline, PipelineApp, Release, User


def visible_pipelines(user: User) -> QuerySet[Pipeline]:
    if user.is_superuser:
        return Pipeline.objects.select_related("owner")
    seen = PipelineApp.objects.filter(app__in=visible_apps(user)).values("pipeline_id")
    return Pipeline.objects.select_related("owner").filter(Q(owner=user) | Q(pk__in=seen))


def pipeline_for(user: User, name: str, *, change: bool = False) -> Pipeline:
    """The pipeline `name`, if `user` may see it, or change it. Raises: Missing, Forbidden."""
    pipeline = visible_pipelines(user).filter(name=name).first()
    if pipeline is None:
        raise Missing("Pipeline")
    if change and not (user.is_superuser or pipeline.owner_id == user.pk):
        raise Forbidden()
    return pipeline


def create_pipeline(*, by: User, name: str, stages: list[str] | None) -> Pipeline:
    """Raises: Invalid."""
    if stages is not None and len(set(stages)) != len(stages):
        raise Invalid(stages="Each stage needs a name of its own.")
    try:
        with transaction.atomic():
            return Pipeline.objects.create(name=name, owner=by, **({"stages": stages} if stages else {}))
    except IntegrityError as exc:
        raise Invalid(name="A pipeline of this name exists already.") from exc


def destroy_pipeline(*, by: User, name: str) -> None:
    pipeline_for(by, name, change=True).delete()


def add_app(*, by: User, name: str, app: str, stage: str) -> PipelineApp:
    """Puts an app into a stage, or moves it there within its pipeline.

    Raises: Missing, Forbidden, Invalid, Conflict.
    """
    pipeline = pipeline_for(by, name, change=True)
    found = app_for(by, app, DEVELOP)
    if stage not in pipeline.stages:
        raise Invalid(stage=f"{name} has no stage {stage}; its stages are {', '.join(pipeline.stages)}.")
    with transaction.atomic():
        place = PipelineApp.objects.select_for_update().select_related("pipeline").filter(app=found).first()
        if place is not None and place.pipeline_id != pipeline.pk:
            raise Conflict(f"{app} is in the pipeline {place.pipeline} already; remove it there first")
        place, _ = PipelineApp.objects.update_or_create(app=found, defaults={"pipeline": pipeline, "stage": stage})
        record(found, f"{by.username} put {app} into the pipeline {name} as {stage}")
    return place


def remove_app(*, by: User, name: str, app: str) -> None:
    """Takes an app out; its own developers may, too. Raises: Missing, Forbidden."""
    pipeline = pipeline_for(by, name)
    place = pipeline.apps.filter(app__name=app).select_related("app").first()
    if place is None:
        raise Missing("App")
    if not by.is_superuser and pipeline.owner_id != by.pk:
        app_for(by, app, DEVELOP)
    place.delete()
    record(place.app, f"{by.username} took {app} out of the pipeline {name}")


def next_apps(app: App) -> list[str]:
    """The apps of the first later stage that has any. Raises: BadRequest."""
    place = PipelineApp.objects.filter(app=app).select_related("pipeline").first()
    if place is None:
        raise BadRequest(f"{app.name} is in no pipeline; name the apps to promote to, or `paas pipelines:add`")
    stages = place.pipeline.stages
    by_stage: dict[str, list[str]] = {}
    for stage, name in place.pipeline.apps.values_list("stage", "app__name"):
        by_stage.setdefault(stage, []).append(name)
    for stage in stages[stages.index(place.stage) + 1 :]:
        if names := by_stage.get(stage):
            return names
    raise BadRequest(f"no stage after {place.stage} of the pipeline {place.pipeline} has an app")


def stages_of(pipeline: Pipeline, user: User) -> list[dict]:
    """Each stage with the apps that `user` may see, and what runs there; a fixed number of queries."""
    good = Release.objects.filter(app=OuterRef("app_id"), failed=False, build__isnull=False).order_by("-version")
    newest = Subquery(good.values("pk")[:1])
    places = list(pipeline.apps.filter(app__in=visible_apps(user)).select_related("app").annotate(live=newest))
    chosen = Release.objects.filter(pk__in=[place.live for place in places if place.live]).select_related("build")
    live = {release.app_id: release for release in chosen.only("app_id", "version", "build__sha", "build__image")}
    return [
        {
            "name": stage,
            "apps": [described_app(place.app, live.get(place.app_id)) for place in places if place.stage == stage],
        }
        for stage in pipeline.stages
    ]


def described_app(app: App, release: Release | None) -> dict:
    build = release.build if release else None
    return {
        "app": app.name,
        "version": release.version if release else None,
        "sha": build.sha if build else "",
        "image": build.image if build else "",
    }


def app_in(pipeline: Pipeline, user: User, name: str) -> App:
    """The app called `name`, or the only one of the stage called so. Raises: Missing, Forbidden, BadRequest."""
    if name not in pipeline.stages:
        if not pipeline.apps.filter(app__name=name).exists():
            raise BadRequest(f"{pipeline} has neither a stage nor an app {name}")
        return app_for(user, name, CONFIGURE)
    names = list(pipeline.apps.filter(stage=name).values_list("app__name", flat=True))
    if len(names) != 1:
        raise BadRequest(f"the stage {name} has {len(names)} apps; name the app instead")
    return app_for(user, names[0], CONFIGURE)
