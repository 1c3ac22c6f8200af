"""Addresses: the API below `/v2/`, health and metrics, everything else is the dashboard."""

from django.urls import include, path, re_path

from controller import health

urlpatterns = [
    re_path(r"^/?v2/", include("controller.api.urls")),
    path("healthz", health.healthz),
    path("readiness", health.readiness),
    path("metrics", health.show_metrics),
    path("", include("controller.dashboard.urls")),
]

handler404 = "controller.api.edge.not_found"
handler500 = "controller.api.edge.server_error"
