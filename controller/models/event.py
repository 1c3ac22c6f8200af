"""What the controller did to an app, for its log."""

from django.db import models
from django.utils import timezone


class Event(models.Model):
    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="events")
    time = models.DateTimeField(default=timezone.now)
    level = models.CharField(max_length=10, default="INFO")
    message = models.TextField()

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=("app", "id"), name="events_of_an_app"),)
