"""Where an app's log also goes, and how much of it is kept."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from controller.access import OPERATE, app_for, may
from controller.actions import log_drains
from controller.dashboard import forms, pages
from controller.dashboard.edge import Next, page, write
from controller.dashboard.observe import Observed
from controller.dashboard.views import Context, Entered, app_page
from controller.models import App

STATES = {  # in the store's words, up to a colon and the reason
    "delivering": (pages.GOOD, "Delivering"),
    "waiting": (pages.IDLE, "Nothing sent yet"),
    "not delivered": (pages.BAD, "Not delivered"),
    "refused": (pages.BAD, "Refused"),
}
UNKNOWN = (pages.IDLE, "State unknown")


def drains_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    states = log_drains.states_of(app)
    rows = []
    for drain in app.log_drains.select_related("by"):
        state = states.get(str(drain.pk)) or {}
        word, _, reason = state.get("state", "").partition(": ")
        tone, text = STATES.get(word, UNKNOWN)
        rows.append(
            {
                "id": str(drain.pk),
                "address": log_drains.masked(drain.url),
                "by": drain.by.username if drain.by else "somebody since gone",
                "state": {"tone": tone, "text": text},
                "reason": reason,
                "waiting": state.get("waiting", 0),
            }
        )
    return {
        "drains": rows,
        "kept": getattr(app, "log_retention", None),
        "may_operate": may(request.user, app, OPERATE),
    }


def show_drains(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return app_page(request, app, "logs", "dashboard/drains.html", drains_context, entered)


drains = page(show_drains)


@write(show_drains)
def drain_add(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OPERATE)
    drain = log_drains.add_drain(app=found, url=forms.read(forms.Drain, request)["url"], by=request.user)
    return ("dashboard:drains", app), f"The log of {app} goes to {log_drains.masked(drain.url)} as well."


@write(show_drains)
def drain_remove(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OPERATE)
    log_drains.remove_drain(app=found, wished=forms.read(forms.DrainName, request)["drain"], by=request.user)
    return ("dashboard:drains", app), "The log goes there no more."


@write(show_drains)
def retention(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OPERATE)
    log_drains.keep(app=found, by=request.user, **forms.read(forms.Retention, request))
    return ("dashboard:drains", app), "How much of the log is kept is changed."
