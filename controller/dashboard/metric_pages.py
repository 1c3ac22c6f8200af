"""The page of an app's graphs: what it answers and what it uses."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone

from controller.access import READ, app_for
from controller.actions.usage import KEPT, LONG, usage_of
from controller.dashboard.edge import page
from controller.dashboard.graphs import Span, charts_of, mark_rows
from controller.dashboard.observe import Observed
from controller.dashboard.views import Context, app_page, live, version_of
from controller.models import App

SPANS = {"1h": ("1 hour", 1), "3h": ("3 hours", 3), "1d": ("1 day", 24), "3d": ("3 days", 72)}
MARKS = 50  # releases shown as lines across the graphs


def metrics_context(request: HttpRequest, app: App, observed: Observed | None = None) -> Context:
    chosen = request.GET.get("span", "")
    chosen = chosen if chosen in SPANS else "1h"
    text, hours = SPANS[chosen]
    length = timedelta(hours=hours)
    span = Span(timezone.now(), length, 1 if length <= KEPT[1] else LONG)
    rows = [row for row in usage_of(app, length) if span.end - length < row.time <= span.end]
    made = app.releases.filter(failed=False, created__gt=span.end - length, created__lte=span.end)
    context = {
        "charts": charts_of(rows, span) if rows else [],
        "marks": mark_rows(list(made.order_by("-version")[:MARKS]), span),
        "began": f"{text} ago",
        "span": chosen,
        "spans": [{"name": name, "text": said, "current": name == chosen} for name, (said, _) in SPANS.items()],
    }
    return context | {"version": version_of(render_to_string("dashboard/parts/graphs.html", context, request))}


@page
def metrics(request: HttpRequest, app: str) -> HttpResponse:
    return app_page(request, app, "metrics", "dashboard/metrics.html", metrics_context)


@page
def metrics_live(request: HttpRequest, app: str) -> HttpResponse:
    found = app_for(request.user, app, READ)
    return live(request, "dashboard/parts/graphs.html", metrics_context(request, found))
