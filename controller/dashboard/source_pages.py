"""How an app's releases are made and go live: deploy rules, the git host it is built from, what of the source counts,
the credentials of another registry, and deploys begun here.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from controller.access import CONFIGURE, DEVELOP, OPERATE, app_for, may
from controller.actions import build_runs, build_settings, deploy_rules, git_sources
from controller.actions.build import checked_image, create_build
from controller.actions.config import change_config
from controller.cluster.rules import BOUNDS
from controller.config_fields import checked
from controller.dashboard import forms, settings_forms
from controller.dashboard.build_pages import show_builds
from controller.dashboard.edge import Next, page, write
from controller.dashboard.observe import Observed
from controller.dashboard.settings_pages import section_page
from controller.dashboard.views import Context, Entered
from controller.dashboard.writes import said_of_config
from controller.errors import BadRequest, Invalid
from controller.models import App, GitSource
from controller.peer import client_address

RULES = {  # title, and what a number means
    "surge": ("Processes started beyond the number", "or a part: 25%"),
    "unavailable": ("Processes that may be missing", "or a part: 25%"),
    "timeout": ("Time for a batch to come up", "seconds"),
    "release_timeout": ("Time for the release command", "seconds"),
    "watch": ("Watched after it went live", "seconds; 0: not at all"),
    "errors": ("5xx answers that count as failing", "percent"),
}


def deploys_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    rules = deploy_rules.rules_of(app)
    own = app.settings.deploy
    return {
        "rules": [
            {
                "name": name,
                "title": title,
                "unit": unit,
                "own": own.get(name, ""),
                "default": "one per node" if rules[name] is None else rules[name],
                "least": BOUNDS[name][0] if name in BOUNDS else None,
                "most": BOUNDS[name][1] if name in BOUNDS else None,
                "kind": "number" if name in BOUNDS else "text",
            }
            for name, (title, unit) in RULES.items()
        ],
        "rollback": {True: "true", False: "false"}.get(own.get("rollback"), ""),
        "rollback_choices": [("", "as the platform has it: yes"), ("true", "yes"), ("false", "no, it stays")],
    }


def show_deploys(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return section_page(request, app, "deploys", deploys_context, entered)


deploys = page(show_deploys)


@write(show_deploys)
def rules_set(request: HttpRequest, app: str) -> Next:
    """What is empty goes back to the default."""
    found = app_for(request.user, app, OPERATE)
    fields = forms.read(settings_forms.Rules, request)
    own = found.settings.deploy
    changes = {name: value for name, value in fields.items() if value != own.get(name)}
    if not changes:
        return ("dashboard:deploys", app), "It already is so."
    deploy_rules.change_rules(app=found, changes=changes, by=request.user)
    return ("dashboard:deploys", app), "It holds from the next deploy on."


# Where the code comes from


def source_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    source = GitSource.objects.select_related("owner").filter(app=app).first()
    developer, built = may(request.user, app, CONFIGURE), build_settings.build_settings(app)
    registry = app.current_release().config.registry if developer else {}
    return {
        "git": source,
        "webhook": git_sources.webhook_url(app),
        "built": built,
        "built_paths": "\n".join(built["paths"]),
        "may_develop": may(request.user, app, DEVELOP),
        "may_configure": developer,
        "registry_user": registry.get("username", ""),
        "registry_set": bool(registry),
    }


def show_source(
    request: HttpRequest, app: str, entered: Entered | None = None, secret: str = "", **more: Any
) -> HttpResponse:
    def context(request: HttpRequest, app: App, observed: Observed) -> Context:
        return {**source_context(request, app, observed), "secret": secret}

    return section_page(request, app, "source", context, entered)


source = page(show_source)


@write(show_source)
def connect(request: HttpRequest, app: str) -> HttpResponse:
    """Shows the webhook's secret, this once."""
    found = app_for(request.user, app, OPERATE)
    fields = forms.read(settings_forms.Connection, request)
    made = git_sources.connect(app=found, url=fields["url"], branch=fields["branch"] or "main", by=request.user)
    return show_source(request, app, secret=made.secret)


@write(show_source)
def disconnect(request: HttpRequest, app: str) -> Next:
    git_sources.disconnect(app=app_for(request.user, app, OPERATE), by=request.user)
    return ("dashboard:source", app), "It is built from no git host any more; its deploy key and webhook are void."


@write(show_source)
def source_set(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, DEVELOP)
    fields = forms.read(settings_forms.Source, request)
    build_settings.change_build_settings(app=found, changes=fields, by=request.user)
    return ("dashboard:source", app), "The next build goes by it."


@write(show_source)
def registry_set(request: HttpRequest, app: str) -> Next:
    """An empty password leaves the one there is."""
    found = app_for(request.user, app, CONFIGURE)
    fields = forms.read(settings_forms.Registry, request)
    if not fields["password"] and not found.current_release().config.registry.get("password"):
        raise Invalid(password="Which password? Of a registry with tokens, a token.")
    changes = checked("registry", {name: value for name, value in fields.items() if value})
    _, operation = change_config(app=found, changes={"registry": changes}, by=request.user)
    return ("dashboard:source", app), said_of_config("The registry's credentials are set", operation)


@write(show_source)
def registry_remove(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, CONFIGURE)
    held = found.current_release().config.registry
    if not held:
        raise BadRequest("There are no credentials to remove.")
    _, operation = change_config(app=found, changes={"registry": dict.fromkeys(held)}, by=request.user)
    return ("dashboard:source", app), said_of_config("The registry's credentials are removed", operation)


# Deploys begun here


@write(show_builds)
def deploy_ref(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, DEVELOP)
    ref = forms.read(settings_forms.Ref, request)["ref"]
    run = git_sources.queue_build(app=found, ref=ref, by=request.user)
    return ("dashboard:build", app, run.number), f"Build {run.number} of {run.ref} is queued."


@write(show_builds)
def deploy_image(request: HttpRequest, app: str) -> Next:
    """The worker carries the deploy out; the page that follows shows how far it is."""
    found = app_for(request.user, app, DEVELOP)
    image = checked_image(forms.read(settings_forms.Image, request)["image"])
    address = client_address(request)
    run = build_runs.begin(app=found, by=request.user, source="image", origin=address, ref=image[:255])
    with build_runs.recorded(run):
        build, operation = create_build(app=found, by=request.user, image=image)
        build_runs.released(run, build, operation.release)
    return ("dashboard:app", app), f"v{operation.release.version} with {image} is on its way."
