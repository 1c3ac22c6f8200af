"""`/healthz`, `/readiness`, `/metrics`."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from controller import metrics
from controller.models import App, Operation, User


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("OK")


@require_safe
def readiness(request: HttpRequest) -> HttpResponse:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as exc:
        return HttpResponse(f"the database doesn't answer: {type(exc).__name__}", status=503)
    return HttpResponse("OK")


@require_safe
def show_metrics(request: HttpRequest) -> HttpResponse:
    """For whoever is on this host; what comes through the router comes from anywhere."""
    if "X-Forwarded-For" in request.headers:
        return HttpResponse("metrics are shown on the controller's own address alone\n", status=404)
    unfinished = Operation.objects.filter(state__in=Operation.UNFINISHED).count()
    gauges = {
        "controller_apps": App.objects.count(),
        "controller_users": User.objects.count(),
        "controller_operations_unfinished": unfinished,
    }
    return HttpResponse(metrics.render(gauges), content_type="text/plain; version=0.0.4")
