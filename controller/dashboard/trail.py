"""The audit trail: of an app on its tab, of everything or of one's own deeds on a page of its own."""

from __future__ import annotations

from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from controller.access import OPERATE
from controller.actions.audit import entries_for, entries_of
from controller.dashboard import pages
from controller.dashboard.edge import page
from controller.dashboard.observe import Observed
from controller.dashboard.views import Context, app_page
from controller.models import App, AuditEntry

ENTRIES_SHOWN = 100


def entries_context(request: HttpRequest, rows: QuerySet[AuditEntry]) -> Context:
    """The newest entries, or those before `?before=ID`; where older ones begin, if there are any."""
    before = request.GET.get("before", "")
    if before.isascii() and before[:18].isdigit():
        rows = rows.filter(pk__lt=int(before[:18]))
    found = list(rows[: ENTRIES_SHOWN + 1])
    shown = found[:ENTRIES_SHOWN]
    return {
        "entries": pages.audit_rows(shown, timezone.now()),
        "older": shown[-1].pk if len(found) > ENTRIES_SHOWN else None,
    }


def sought(request: HttpRequest, rows: QuerySet[AuditEntry], *names: str) -> Context:
    """The page of those of `rows` that the reader asks for: by the fields `names`, and by what became of them."""
    asked = {name: request.GET.get(name, "").strip()[:150] for name in (*names, "outcome")}
    rows = rows.filter(**{name: asked[name] for name in names if asked[name]})
    if asked["outcome"] == "refused":
        rows = rows.filter(outcome__status__gte=400)
    elif asked["outcome"] == "done":
        rows = rows.filter(outcome__status__lt=400)
    found = {name: value for name, value in asked.items() if value}
    return {"asked": asked, "sought": bool(found), "query": urlencode(found), **entries_context(request, rows)}


@page
def activity(request: HttpRequest, app: str) -> HttpResponse:
    def context(request: HttpRequest, app: App, observed: Observed) -> Context:
        return sought(request, entries_of(app), "actor")

    return app_page(request, app, "activity", "dashboard/activity.html", context, right=OPERATE)


@page
def all_activity(request: HttpRequest) -> HttpResponse:
    """What the reader did; for an administrator what anybody did."""
    context = {"title": "Activity", "place": "activity"}
    found = sought(request, entries_for(request.user), "actor", "app")
    return render(request, "dashboard/all_activity.html", context | found)
