"""An app's settings: how it is reached, its labels, its owner and its end; and the sections that stand beside them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from controller.access import CONFIGURE, OPERATE, OWN, READ, REMOVE, Right, app_for, level_of, may
from controller.actions import settings as actions
from controller.actions.app import destroy_app, transfer_app
from controller.config_fields import Refused, check_type, checked
from controller.dashboard import forms, pages, settings_forms
from controller.dashboard.edge import Next, page, write
from controller.dashboard.observe import Observed
from controller.dashboard.views import Context, Entered, app_page
from controller.errors import BadRequest, Invalid, Missing
from controller.models import App

SECTIONS = (
    ("settings", "General", READ),
    ("limits", "Limits", CONFIGURE),
    ("health", "Health checks", CONFIGURE),
    ("hooks", "Hooks", CONFIGURE),
    ("deploys", "Deploys", READ),
    ("source", "Source", READ),
)


def section_page(
    request: HttpRequest, name: str, section: str, context_of: Any, entered: Entered | None, right: Right = READ
) -> HttpResponse:
    """One section of an app's settings; `dashboard/SECTION.html` shows it."""

    def context(request: HttpRequest, app: App, observed: Observed) -> Context:
        level = level_of(request.user, app)
        sections = [
            {"title": title, "url": reverse(f"dashboard:{route}", args=[name]), "current": route == section}
            for route, title, needed in SECTIONS
            if level >= needed.level
        ]
        return {"sections": sections, "may_operate": level >= OPERATE.level, **context_of(request, app, observed)}

    return app_page(request, name, "settings", f"dashboard/{section}.html", context, entered, right)


def kinds_of(app: App, observed: Observed, *more: dict[str, Any]) -> list[str]:
    """The process types of the app, web first: those it runs, its build declares, and those that `more` speaks of."""
    current = observed.current.get(app.pk)
    declared = current.build.procfile if current and current.build else {}
    names = {*app.structure, *declared, *(kind for section in more for kind in section)} - {"release", "web/cmd"}
    return sorted(names or {"web"}, key=lambda kind: (kind not in ("web", "cmd"), kind))


def settings_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    held, enforced = app.settings, bool(app.tls.https_enforced)
    return {
        "switches": [
            switch_row("maintenance", "Maintenance", held.maintenance, pages.BUSY),
            switch_row("routing", "Routing", held.routable, pages.GOOD),
            switch_row("https", "HTTPS only", enforced, pages.GOOD),
        ],
        "addresses": held.whitelist,
        "paths": list(app.services.order_by("procfile_type").values("procfile_type", "path_pattern")),
        "kinds": kinds_of(app, observed),
        "labels": sorted(held.label.items()),
        "may_remove": may(request.user, app, REMOVE),
    }


TOLD = {  # by switch: what it means while it is off and on, and the deeds that turn it
    "maintenance": (
        "Visitors reach the app. In maintenance they see a page that says so.",
        "Visitors see the maintenance page (503); the processes run on.",
        "Begin maintenance",
        "End maintenance",
    ),
    "routing": (
        "The router sends the app nothing: its names answer 404; the processes run on.",
        "The router sends requests for the app's names to it.",
        "Route requests",
        "Stop routing",
    ),
    "https": (
        "The app answers over HTTP as well as HTTPS.",
        "Who comes by HTTP is sent on to HTTPS.",
        "Require HTTPS",
        "Allow HTTP again",
    ),
}
COMMANDS = {
    "maintenance": ("maintenance:on", "maintenance:off"),
    "routing": ("routing:enable", "routing:disable"),
    "https": ("tls:enable", "tls:disable"),
}


def switch_row(name: str, title: str, on: bool, tone: str) -> Context:
    off_text, on_text, begin, end = TOLD[name]
    return {
        "name": name,
        "title": title,
        "route": f"dashboard:{name}",
        "on": on,
        "state": {"tone": tone if on else pages.IDLE, "text": "On" if on else "Off"},
        "text": on_text if on else off_text,
        "deed": end if on else begin,
        "command": COMMANDS[name][on],
    }


def show_settings(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return section_page(request, app, "settings", settings_context, entered)


app_settings = page(show_settings)


def wished(request: HttpRequest) -> bool:
    return forms.read(forms.Switch, request)["on"] == "true"


@write(show_settings)
def maintenance(request: HttpRequest, app: str) -> Next:
    found, on = app_for(request.user, app, OPERATE), wished(request)
    actions.change_settings(app=found, changes={"maintenance": on}, by=request.user)
    return ("dashboard:settings", app), "Visitors see the maintenance page." if on else "Visitors reach the app again."


@write(show_settings)
def routing(request: HttpRequest, app: str) -> Next:
    found, on = app_for(request.user, app, OPERATE), wished(request)
    actions.change_settings(app=found, changes={"routable": on}, by=request.user)
    return ("dashboard:settings", app), f"{app} is routed again." if on else f"No request reaches {app} any more."


@write(show_settings)
def https(request: HttpRequest, app: str) -> Next:
    found, on = app_for(request.user, app, OPERATE), wished(request)
    actions.enforce_https(app=found, enforced=on, by=request.user)
    return ("dashboard:settings", app), "HTTP is sent on to HTTPS." if on else "HTTP is answered again."


@write(show_settings)
def addresses_add(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OPERATE)
    addresses = forms.read(settings_forms.Addresses, request)["addresses"]
    known = actions.allow_addresses(app=found, addresses=addresses, by=request.user)
    count = f"{len(known)} address{'es' if len(known) != 1 else ''}"
    return ("dashboard:settings", app), f"{count} may reach {app}, others get 403."


@write(show_settings)
def addresses_remove(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, REMOVE)
    addresses = forms.read(settings_forms.Addresses, request)["addresses"]
    actions.disallow_addresses(app=found, addresses=addresses, by=request.user)
    return ("dashboard:settings", app), f"{', '.join(addresses)} is off the list."


@write(show_settings)
def path_add(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OPERATE)
    fields = forms.read(settings_forms.Path, request)
    kind = fields["type"]
    try:
        check_type(kind)
        _, changed = actions.route_paths(app=found, kind=kind, patterns=fields["patterns"])
    except Refused as exc:
        raise Invalid(type=str(exc)) from exc
    except Invalid as exc:
        raise Invalid(patterns=exc.errors["path_pattern"]) from exc
    return ("dashboard:settings", app), f"{kind} serves {fields['patterns']}." if changed else "It already is so."


@write(show_settings)
def path_remove(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, REMOVE)
    kind = forms.read(forms.ProcessType, request)["type"]
    try:
        actions.unroute_paths(app=found, kind=kind)
    except Missing as exc:
        raise BadRequest(f"{kind} serves no paths of its own.") from exc
    return ("dashboard:settings", app), f"{kind} serves no paths of its own any more."


@write(show_settings)
def label_set(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OPERATE)
    fields = forms.read(settings_forms.Label, request)
    changes = checked("label", {fields["key"]: fields["value"]})
    actions.change_settings(app=found, changes={"label": changes}, by=request.user)
    return ("dashboard:settings", app), f"{fields['key']} is set."


@write(show_settings)
def label_remove(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OPERATE)
    key = forms.read(settings_forms.Key, request)["key"]
    actions.change_settings(app=found, changes={"label": {key: None}}, by=request.user)
    return ("dashboard:settings", app), f"{key} is removed."


@write(show_settings)
def transfer(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OWN)
    owner = forms.read(settings_forms.NewOwner, request)["owner"]
    try:
        transfer_app(app=found, to=owner)
    except Missing as exc:
        raise Invalid(owner=f"There is nobody called {owner}.") from exc
    mine = may(request.user, App.objects.get(pk=found.pk), READ)
    return ("dashboard:settings", app) if mine else ("dashboard:apps",), f"{owner} owns {app} now."


@write(show_settings)
def destroy(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OWN)
    confirm = forms.read(forms.Confirmation, request)["confirm"]
    if confirm != found.name:
        raise Invalid(confirm=f"'{confirm}' is not {found.name}; nothing was destroyed.")
    destroy_app(app=found, by=request.user)
    return ("dashboard:apps",), f"{app} is destroyed."
