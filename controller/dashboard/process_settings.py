"""What an app's processes get and must do: limits, time to stop, nodes to run on, health checks. Each change is a
release, as a change of variables is.
"""

from __future__ import annotations

import shlex
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from controller.access import CONFIGURE, app_for
from controller.actions.config import change_config
from controller.cluster.render import GRACE
from controller.config_fields import PROBE_NUMBERS, PROBES, Refused, check_health, checked
from controller.dashboard import forms, settings_forms
from controller.dashboard.edge import Next, page, write
from controller.dashboard.observe import Observed
from controller.dashboard.settings_pages import kinds_of, section_page
from controller.dashboard.views import Context, Entered
from controller.dashboard.writes import said_of_config
from controller.errors import Invalid
from controller.models import App

LIMITS = ("memory", "cpu", "termination_grace_period")
ROUTED = "web/cmd"  # the key of checks for the type that has the app's traffic
STANDARD = {
    "initialDelaySeconds": 50,
    "timeoutSeconds": 50,
    "periodSeconds": 10,
    "successThreshold": 1,
    "failureThreshold": 3,
}  # as the command line has them
PROBE_TEXTS = {
    "readinessProbe": ("Readiness", "no traffic while it fails"),
    "livenessProbe": ("Liveness", "restarted when it fails"),
}


def limits_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    config = app.current_release().config
    kinds = kinds_of(app, observed, *(getattr(config, name) for name in LIMITS))
    return {
        "kinds": [{"name": kind, **{name: getattr(config, name).get(kind, "") for name in LIMITS}} for kind in kinds],
        "grace": GRACE,
        "sizes": [f"{name}: {size['memory']} and {size['cpu']}" for name, size in settings.SIZES.items()],
        "tags": sorted(config.tags.items()),
    }


def show_limits(request: HttpRequest, app: str, kind: str = "", entered: Entered | None = None) -> HttpResponse:
    return section_page(request, app, "limits", limits_context, entered, CONFIGURE)


limits = page(show_limits)


@write(show_limits)
def limits_set(request: HttpRequest, app: str, kind: str) -> Next:
    """What is empty goes back to the default."""
    found = app_for(request.user, app, CONFIGURE)
    fields = forms.read(settings_forms.Limits, request)
    config = found.current_release().config
    changes = {}
    for name in LIMITS:
        if fields[name] != getattr(config, name).get(kind, ""):
            changes[name] = checked(name, {kind: fields[name] or None})
    if not changes:
        return ("dashboard:limits", app), "It already is so."
    _, operation = change_config(app=found, changes=changes, by=request.user)
    return ("dashboard:limits", app), said_of_config(f"The limits of {kind} are set", operation)


@write(show_limits)
def tag_set(request: HttpRequest, app: str) -> Next:
    fields = forms.read(settings_forms.Label, request)
    return change_tag(request, app, fields["key"], fields["value"], f"Processes run where {fields['key']} is so")


@write(show_limits)
def tag_remove(request: HttpRequest, app: str) -> Next:
    key = forms.read(settings_forms.Key, request)["key"]
    return change_tag(request, app, key, None, f"{key} doesn't matter any more")


def change_tag(request: HttpRequest, app: str, key: str, value: str | None, done: str) -> Next:
    found = app_for(request.user, app, CONFIGURE)
    try:
        changes = {"tags": checked("tags", {key: value})}
    except Invalid as exc:
        raise Invalid(**{"value" if "values" in str(exc) else "key": exc.errors["tags"]}) from exc
    _, operation = change_config(app=found, changes=changes, by=request.user)
    return ("dashboard:limits", app), said_of_config(done, operation)


# Health checks


def health_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    release = app.current_release()
    checks = release.config.healthcheck
    rows = [
        probe_row(kind, name, probe)
        for kind, probes in sorted(checks.items())
        for name in PROBES
        if (probe := (probes or {}).get(name))
    ]
    kinds = kinds_of(app, observed, checks)
    chosen = (request.GET.get("type", ROUTED), request.GET.get("probe", "readinessProbe"))
    held = next((row for row in rows if (row["key"], row["name"]) == chosen), None)
    port = release.config.values.get("PORT", "")
    return {
        "probes": rows,
        "kinds": [(ROUTED, "web (or cmd)"), *((kind, kind) for kind in kinds)],
        "probe_names": [(name, f"{title}: {text}") for name, (title, text) in PROBE_TEXTS.items()],
        "actions": [
            ("httpGet", "asks for a path by HTTP"),
            ("tcpSocket", "connects to a port"),
            ("exec", "runs a command in it"),
        ],
        "form": held["form"] if held else {**STANDARD, "type": chosen[0], "probe": chosen[1], "port": port},
        "changing": held,
    }


def probe_row(kind: str, name: str, probe: dict[str, Any]) -> Context:
    """A probe in words, and as its form has it."""
    title, effect = PROBE_TEXTS[name]
    form: dict[str, Any] = {"type": kind, "probe": name, **STANDARD}
    form |= {number: probe[number] for number in PROBE_NUMBERS if number in probe}
    if "httpGet" in probe:
        get = probe["httpGet"]
        headers = "\n".join(f"{header['name']}: {header['value']}" for header in get.get("httpHeaders") or ())
        form |= {"action": "httpGet", "path": get.get("path", "/"), "port": get.get("port", ""), "headers": headers}
        told = f"GET {get.get('path', '/')}" + (f" on port {get['port']}" if get.get("port") else "")
    elif "tcpSocket" in probe:
        form |= {"action": "tcpSocket", "port": probe["tcpSocket"].get("port", "")}
        told = f"connects to port {form['port']}"
    else:
        form |= {"action": "exec", "command": shlex.join(probe["exec"]["command"])}
        told = form["command"]
    return {
        "key": kind,
        "kind": "web" if kind == ROUTED else kind,
        "name": name,
        "title": title,
        "effect": effect,
        "told": told,
        "form": form,
        "period": form["periodSeconds"],
        "failures": form["failureThreshold"],
    }


def show_health(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return section_page(request, app, "health", health_context, entered, CONFIGURE)


health = page(show_health)


@write(show_health)
def health_set(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, CONFIGURE)
    form = forms.valid(settings_forms.Probe, request)
    kind, name = form.cleaned_data["type"], form.cleaned_data["probe"]
    try:
        changes = {kind: check_health(kind, {name: form.body()})}
    except Refused as exc:
        raise Invalid(**{field_of(str(exc)): str(exc)}) from exc
    _, operation = change_config(app=found, changes={"healthcheck": changes}, by=request.user)
    return ("dashboard:health", app), said_of_config(f"The check of {kind} is set", operation)


def field_of(text: str) -> str:
    """The field that a complaint about a probe is about."""
    return next((name for name in (*PROBE_NUMBERS, "port", "path", "command") if name in text), "type")


@write(show_health)
def health_remove(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, CONFIGURE)
    fields = forms.read(settings_forms.ProbeName, request)
    changes = {"healthcheck": {fields["type"]: {fields["probe"]: None}}}
    _, operation = change_config(app=found, changes=changes, by=request.user)
    return ("dashboard:health", app), said_of_config(f"The check of {fields['type']} is removed", operation)
