"""What an app does by itself: commands on a schedule with the runs of each, and processes that follow the load."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from controller.access import OPERATE, READ, app_for, may
from controller.actions import autoscale as scaling
from controller.actions import cron
from controller.actions.settings import change_settings
from controller.cluster.cron_runs import Run
from controller.cron import POLICIES
from controller.dashboard import forms, pages
from controller.dashboard.edge import Next, ended, page, write
from controller.dashboard.observe import Observed
from controller.dashboard.views import Context, Entered, app_page
from controller.errors import BadRequest, ClusterTrouble
from controller.models import App

CHANGES_SHOWN = 20
RUN_TONES = {"running": pages.BUSY, "succeeded": pages.GOOD, "failed": pages.BAD}
TARGET_TEXTS = {
    "cpu_percent": "CPU, in % of what it may use",
    "memory_percent": "memory, in % of what it may use",
    "requests_per_second": "requests a second for each process (web)",
    "latency_ms": "milliseconds in which 95% are answered (web)",
}
TARGET_UNITS = {
    "cpu_percent": "% CPU",
    "memory_percent": "% memory",
    "requests_per_second": "requests a second each",
    "latency_ms": "ms for 95% of the requests",
}


def schedule_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    return {"crons": cron.entries(app), "policies": POLICIES, "may_operate": may(request.user, app, OPERATE)}


def show_schedule(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return app_page(request, app, "schedule", "dashboard/schedule.html", schedule_context, entered)


schedule = page(show_schedule)


def show_cron(request: HttpRequest, app: str, name: str, entered: Entered | None = None) -> HttpResponse:
    def context(request: HttpRequest, app: App, observed: Observed) -> Context:
        entry = cron.entry_named(app, name)
        told: Context = {"cron": entry, "may_operate": may(request.user, app, OPERATE)}
        try:
            now = timezone.now()
            return told | {"runs": [run_row(run, now) for run in cron.history(app, name)]}
        except ClusterTrouble as exc:
            return told | {"runs_trouble": ended(f"The runs can't be read: {exc}")}

    return app_page(request, app, "schedule", "dashboard/cron.html", context, entered)


cron_entry = page(show_cron)


def run_row(run: Run, now: datetime) -> Context:
    started = datetime.fromisoformat(run.started)
    ended = datetime.fromisoformat(run.ended) if run.ended else None
    why = run.reason or (f"exit code {run.exit_code}" if run.exit_code else "")
    return {
        "name": run.name,
        "process": run.process,
        "state": {"tone": RUN_TONES.get(run.state, pages.IDLE), "text": run.state.capitalize()},
        "started": started,
        "ago": pages.ago(started, now),
        "took": f"{max(int((ended - started).total_seconds()), 0)} s" if ended else "",
        "why": why,
    }


@write(show_schedule)
def cron_add(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OPERATE)
    fields = forms.read(forms.NewCronEntry, request)
    entry = cron.add(app=found, by=request.user, **{**fields, "timezone": fields["timezone"] or None})
    return ("dashboard:schedule", app), f"{entry.name} runs at {entry.schedule} ({entry.timezone})."


@write(show_cron)
def cron_run(request: HttpRequest, app: str, name: str) -> Next:
    cron.run_now(app=app_for(request.user, app, OPERATE), name=name, by=request.user)
    return ("dashboard:cron", app, name), f"{name} is begun; reload to see how it went."


@write(show_cron)
def cron_pause(request: HttpRequest, app: str, name: str) -> Next:
    found = app_for(request.user, app, OPERATE)
    paused = forms.read(forms.Switch, request)["on"] == "true"
    cron.pause(app=found, name=name, paused=paused, by=request.user)
    return ("dashboard:schedule", app), f"{name} is paused." if paused else f"{name} runs on its schedule again."


@write(show_cron)
def cron_remove(request: HttpRequest, app: str, name: str) -> Next:
    cron.remove(app=app_for(request.user, app, OPERATE), name=name, by=request.user)
    return ("dashboard:schedule", app), f"{name} is removed."


# Autoscaling


def autoscale_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    changes = app.events.filter(message__startswith=scaling.DEED).order_by("-id")[:CHANGES_SHOWN]
    now = timezone.now()
    return {
        "rules": [rule_row(kind, rule, app.structure) for kind, rule in sorted(app.settings.autoscale.items())],
        "changes": [
            {"text": event.message.removeprefix("autoscale "), "time": event.time, "ago": pages.ago(event.time, now)}
            for event in changes
        ],
        "targets": TARGET_TEXTS.items(),
        "kinds": sorted(app.structure) or ["web"],
        "may_operate": may(request.user, app, OPERATE),
    }


def rule_row(kind: str, rule: dict[str, int], structure: dict[str, int]) -> Context:
    wishes = [f"{rule[name]} {TARGET_UNITS[name]}" for name in scaling.TARGETS if name in rule]
    by_router = scaling.is_by_router(rule)
    return {
        "kind": kind,
        "min": rule["min"],
        "max": rule["max"],
        "target": ", ".join(wishes),
        "count": structure.get(kind, 0) if by_router else None,
    }


def show_autoscale(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return app_page(request, app, "autoscale", "dashboard/autoscale.html", autoscale_context, entered, READ)


autoscale = page(show_autoscale)


@write(show_autoscale)
def autoscale_set(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OPERATE)
    fields: dict[str, Any] = forms.read(forms.AutoscaleRule, request)
    rule = {"min": fields["min"], "max": fields["max"], fields["by"]: fields["target"]}
    if problem := scaling.problem_of(fields["type"], rule):
        raise BadRequest(problem)
    change_settings(app=found, changes={"autoscale": {fields["type"]: rule}}, by=request.user)
    return ("dashboard:autoscale", app), f"{fields['type']} scales by itself, from {rule['min']} to {rule['max']}."


@write(show_autoscale)
def autoscale_remove(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OPERATE)
    kind = forms.read(forms.ProcessType, request)["type"]
    change_settings(app=found, changes={"autoscale": {kind: None}}, by=request.user)
    return ("dashboard:autoscale", app), f"{kind} stays at the number you give it."
