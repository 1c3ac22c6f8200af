"""Config that apps share: groups with a page each, and the groups and links of an app on its Config tab."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from controller.access import CONFIGURE, app_for
from controller.actions import config_sharing as actions
from controller.dashboard import forms, pages
from controller.dashboard.edge import Next, page, write
from controller.dashboard.listing import page_of
from controller.dashboard.views import Entered, show_config
from controller.errors import BadRequest, Forbidden, Missing


def show_groups(request: HttpRequest, entered: Entered | None = None) -> HttpResponse:
    chosen = page_of(request, actions.visible_groups(request.user))
    context = {"title": "Config groups", "place": "groups", "chosen": chosen, "entered": entered or {}}
    return render(request, "dashboard/groups.html", context)


groups = page(show_groups)


def show_group(request: HttpRequest, group: str, entered: Entered | None = None) -> HttpResponse:
    found = actions.group_for(request.user, group)
    context = {
        "title": found.name,
        "place": "groups",
        "group": found,
        "variables": pages.variable_rows(found.values, set(found.secret_keys), request.GET.get("reveal")),
        "apps": found.attachments.order_by("app__name").values_list("app__name", flat=True),
        "entered": entered or {},
    }
    return render(request, "dashboard/group.html", context)


group = page(show_group)


@page
def group_value(request: HttpRequest, group: str, key: str) -> HttpResponse:
    found = actions.group_for(request.user, group)
    if key not in found.values or key in found.secret_keys:
        raise Missing("Variable")
    return JsonResponse({"value": found.values[key]})


@write(show_groups)
def group_create(request: HttpRequest) -> Next:
    fields = forms.read(forms.NewGroup, request)
    try:
        made = actions.create_group(by=request.user, name=fields["name"], team=fields["team"] or None)
    except Missing as exc:
        raise BadRequest(f"You are in no team called {fields['team']}.") from exc
    return ("dashboard:group", made.name), f"{made.name} is made. Set its variables, then attach it to apps."


@write(show_group)
def group_set(request: HttpRequest, group: str) -> Next:
    fields = forms.read(forms.Variable, request)
    secrets = [fields["key"]] if fields["secret"] else []
    actions.change_group(by=request.user, name=group, values={fields["key"]: fields["value"]}, secrets=secrets)
    return ("dashboard:group", group), f"{fields['key']} is set; every app that has {group} gets a release."


@write(show_group)
def group_unset(request: HttpRequest, group: str) -> Next:
    key = forms.read(forms.VariableName, request)["key"]
    actions.change_group(by=request.user, name=group, values={key: None})
    return ("dashboard:group", group), f"{key} is removed; every app that has {group} gets a release."


@write(show_group)
def group_destroy(request: HttpRequest, group: str) -> Next:
    actions.destroy_group(by=request.user, name=group)
    return ("dashboard:groups",), f"{group} is no more."


# Of an app


@write(show_config)
def attach(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, CONFIGURE)
    name = forms.read(forms.GroupName, request)["group"]
    try:
        actions.attach_group(app=found, by=request.user, name=name)
    except Missing as exc:
        raise BadRequest(f"There is no config group {name} of yours or your teams'.") from exc
    return ("dashboard:config", app), f"{app} gets the variables of {name} with its next release, which is on its way."


@write(show_config)
def detach(request: HttpRequest, app: str) -> Next:
    name = forms.read(forms.GroupName, request)["group"]
    actions.detach_group(app=app_for(request.user, app, CONFIGURE), by=request.user, name=name)
    return ("dashboard:config", app), f"{name} is detached; the release without it is on its way."


@write(show_config)
def link(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, CONFIGURE)
    fields = forms.read(forms.NewLink, request)
    key, source = fields["key"], fields["source"]
    source_key = fields["source_key"] or key
    try:
        actions.link(app=found, by=request.user, key=key, source=source, source_key=source_key)
    except (Missing, Forbidden) as exc:
        raise BadRequest(f"There is no app {source} whose config you may read.") from exc
    return ("dashboard:config", app), f"{key} follows {source_key} of {source}; the release with it is on its way."


@write(show_config)
def unlink(request: HttpRequest, app: str) -> Next:
    key = forms.read(forms.VariableName, request)["key"]
    actions.unlink(app=app_for(request.user, app, CONFIGURE), by=request.user, key=key)
    return ("dashboard:config", app), f"{key} follows no other app any more; the release without it is on its way."
