"""Django's description of the dashboard, so that its templates and static files are found."""

from django.apps import AppConfig


class Dashboard(AppConfig):
    name = "controller.dashboard"
    label = "dashboard"
