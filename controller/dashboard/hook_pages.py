"""Commands that run in an app's processes as they start, and before they are stopped. Each change is a release."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from controller.access import CONFIGURE, app_for
from controller.actions.config import change_config
from controller.config_fields import checked
from controller.dashboard import forms, settings_forms
from controller.dashboard.edge import page, write
from controller.dashboard.observe import Observed
from controller.dashboard.settings_pages import kinds_of, section_page
from controller.dashboard.views import Context, Entered
from controller.dashboard.writes import said_of_config
from controller.errors import Invalid
from controller.models import App

Next = tuple[tuple[str, ...], str]

HOOKS = {  # section of the config: title, when it runs
    "lifecycle_post_start": ("After start", "beside the process, as it starts; it is started again when this fails"),
    "lifecycle_pre_stop": ("Before stop", "before it is told to stop; what it takes counts as time to stop"),
}


def hooks_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    config = app.current_release().config
    rows = [
        {"type": kind, "section": section, "title": HOOKS[section][0], "effect": HOOKS[section][1], "command": line}
        for section in HOOKS
        for kind, line in sorted(getattr(config, section).items())
    ]
    kinds = kinds_of(app, observed, *(getattr(config, section) for section in HOOKS))
    return {
        "hooks": rows,
        "kinds": [(kind, kind) for kind in kinds],
        "moments": [(section, f"{title}: {about}") for section, (title, about) in HOOKS.items()],
    }


def show_hooks(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return section_page(request, app, "hooks", hooks_context, entered, CONFIGURE)


hooks = page(show_hooks)


@write(show_hooks)
def hook_set(request: HttpRequest, app: str) -> Next:
    fields = forms.read(settings_forms.Hook, request)
    return change_hook(request, app, fields["hook"], fields["type"], fields["command"], "is set")


@write(show_hooks)
def hook_remove(request: HttpRequest, app: str) -> Next:
    fields = forms.read(settings_forms.HookName, request)
    return change_hook(request, app, fields["hook"], fields["type"], None, "is removed")


def change_hook(request: HttpRequest, app: str, section: str, kind: str, line: str | None, done: str) -> Next:
    found = app_for(request.user, app, CONFIGURE)
    try:
        changes = {section: checked(section, {kind: line})}
    except Invalid as exc:
        raise Invalid(command=exc.errors[section]) from exc
    _, operation = change_config(app=found, changes=changes, by=request.user)
    return ("dashboard:hooks", app), said_of_config(f"{HOOKS[section][0]} of {kind} {done}", operation)
