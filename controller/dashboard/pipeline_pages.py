"""Pipelines: the stages of a product side by side, what a promotion would change, and the promotion."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from controller.access import DEVELOP, READ, app_for, apps_with, may
from controller.actions import pipelines as actions
from controller.actions.promotion import promote as promote_release
from controller.actions.release_diff import diff_releases
from controller.dashboard import forms
from controller.dashboard.edge import Next, page, write
from controller.dashboard.listing import page_of
from controller.dashboard.release_pages import change_groups
from controller.dashboard.views import Context, Entered, show_processes
from controller.errors import BadRequest, Conflict, Missing
from controller.models import App, Pipeline, PipelineApp


def show_pipelines(request: HttpRequest, entered: Entered | None = None) -> HttpResponse:
    chosen = page_of(request, actions.visible_pipelines(request.user))
    context = {"title": "Pipelines", "place": "pipelines", "chosen": chosen, "entered": entered or {}}
    return render(request, "dashboard/pipelines.html", context)


pipelines = page(show_pipelines)


def show_pipeline(request: HttpRequest, pipeline: str, entered: Entered | None = None) -> HttpResponse:
    found = actions.pipeline_for(request.user, pipeline)
    stages = actions.stages_of(found, request.user)
    names = [app["app"] for stage in stages for app in stage["apps"]]
    changed = set(apps_with(request.user, DEVELOP).filter(name__in=names).values_list("name", flat=True))
    context = {
        "title": found.name,
        "place": "pipelines",
        "pipeline": found,
        "stages": stage_rows(stages, changed),
        "may_change": may_change(request, found),
        "entered": entered or {},
    }
    return render(request, "dashboard/pipeline.html", context)


def may_change(request: HttpRequest, pipeline: Pipeline) -> bool:
    return request.user.is_superuser or pipeline.owner_id == request.user.pk


def stage_rows(stages: list[Context], changed: set[str]) -> list[Context]:
    """The stages, each app with those of the next stage that has any; `changed` are the apps to which one may."""
    rows = []
    for index, stage in enumerate(stages):
        later = next((after for after in stages[index + 1 :] if after["apps"]), None)
        targets = [target["app"] for target in later["apps"]] if later else []
        rows.append(
            {
                "name": stage["name"],
                "apps": [
                    {
                        **app,
                        "to": " ".join(targets),
                        "targets": [
                            {"app": target["app"], "same": is_same(app, target)}
                            for target in (later["apps"] if later else [])
                        ],
                        "next": later["name"] if later else "",
                        "promotable": bool(app["image"]) and bool(targets) and changed.issuperset(targets),
                        "mine": app["app"] in changed,
                    }
                    for app in stage["apps"]
                ],
            }
        )
    return rows


def is_same(one: Context, other: Context) -> bool:
    """Whether both run the same code."""
    return bool(one["image"]) and image_id(one["image"]) == image_id(other["image"])


def image_id(image: str) -> str:
    return image.partition("@")[2] or image


pipeline = page(show_pipeline)


@page
def pipeline_diff(request: HttpRequest, pipeline: str) -> HttpResponse:
    """What promoting the app `?from=` would change in the app `?to=`."""
    found = actions.pipeline_for(request.user, pipeline)
    source, target = (side_of(request, found, name) for name in ("from", "to"))
    new, old = source.current_release(), target.current_release()
    groups = diff_releases(old, new)
    titled: Context = {
        "title": f"{source.name} and {target.name}",
        "place": "pipelines",
        "pipeline": found,
        "source": {"app": source.name, "version": new.version, "has_build": new.build_id is not None},
        "target": {"app": target.name, "version": old.version},
        "code": change_groups({**groups, "config": [], "formation": []}, with_config=False),
        "own": change_groups({**groups, "code": [], "procfile": []}, with_config=True),
        "may_promote": may(request.user, target, DEVELOP),
    }
    return render(request, "dashboard/pipeline_diff.html", titled)


def side_of(request: HttpRequest, pipeline: Pipeline, name: str) -> App:
    """Raises: BadRequest, Missing, Forbidden."""
    wished = request.GET.get(name, "")
    if not wished:
        raise BadRequest(f"Nothing is named to compare; open this page from the pipeline {pipeline.name}")
    return actions.app_in(pipeline, request.user, wished)


@write(show_pipelines)
def pipeline_create(request: HttpRequest) -> Next:
    fields = forms.read(forms.NewPipeline, request)
    made = actions.create_pipeline(by=request.user, name=fields["name"], stages=fields["stages"])
    return ("dashboard:pipeline", made.name), f"{made.name} is made. Put an app into each stage."


@write(show_pipeline)
def place_add(request: HttpRequest, pipeline: str) -> Next:
    actions.pipeline_for(request.user, pipeline, change=True)
    fields = forms.read(forms.NewPlace, request)
    try:
        actions.add_app(by=request.user, name=pipeline, **fields)
    except Missing as exc:
        raise BadRequest(f"There is no app {fields['app']}.") from exc
    return ("dashboard:pipeline", pipeline), f"{fields['app']} is {fields['stage']} of {pipeline}."


@write(show_pipeline)
def place_remove(request: HttpRequest, pipeline: str) -> Next:
    name = forms.read(forms.AppName, request)["app"]
    actions.remove_app(by=request.user, name=pipeline, app=name)
    return ("dashboard:pipeline", pipeline), f"{name} is out of {pipeline}; the app itself stays."


@write(show_pipeline)
def pipeline_destroy(request: HttpRequest, pipeline: str) -> Next:
    actions.destroy_pipeline(by=request.user, name=pipeline)
    return ("dashboard:pipelines",), f"{pipeline} is no more; its apps stay."


def show_promotion(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    """Where a promotion was asked for."""
    place = PipelineApp.objects.select_related("pipeline").filter(app__name=app).first()
    if place is None:
        return show_processes(request, app, entered)
    return show_pipeline(request, place.pipeline.name, entered)


@write(show_promotion)
def promote(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, READ)
    fields: dict[str, Any] = forms.read(forms.Promotion, request)
    try:
        release, begun = promote_release(app=found, to=fields["to"], version=fields["version"], by=request.user)
    except Missing as exc:
        raise BadRequest("One of the apps to promote to is no longer there.") from exc
    names = ", ".join(promotion.app for promotion in begun if not promotion.reason)
    if refused := [f"{promotion.app} takes no release: {promotion.reason}." for promotion in begun if promotion.reason]:
        raise Conflict(" ".join([*refused, f"{names} gets it." if names else ""]).strip())
    place = PipelineApp.objects.select_related("pipeline").filter(app=found).first()
    target = ("dashboard:pipeline", place.pipeline.name) if place else ("dashboard:app", app)
    return target, f"v{release.version} of {app} is on its way to {names}."
