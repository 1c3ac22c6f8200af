"""Django's description of the controller as an application."""

from django.apps import AppConfig


class Controller(AppConfig):
    name = "controller"
    default_auto_field = "django.db.models.BigAutoField"
