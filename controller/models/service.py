"""Paths of an app's domain that another process type serves."""

from django.db import models

from controller.models.base import Dated


class Service(Dated):
    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="services")
    procfile_type = models.CharField(max_length=63)
    path_pattern = models.TextField()

    class Meta:
        ordering = ("-created",)
        constraints = (models.UniqueConstraint(fields=("app", "procfile_type"), name="one_service_per_type"),)
