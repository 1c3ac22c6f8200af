"""Where an app's log also goes, and how much of it is kept."""

import uuid

from django.conf import settings
from django.db import models

from controller.models.secret_fields import SecretTextField


class LogDrain(models.Model):
    uuid = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="log_drains")
    url = SecretTextField()  # may hold credentials
    local = models.BooleanField(default=False)  # an administrator allowed it to lead to the platform's own host
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("created",)


class LogRetention(models.Model):
    """What an app keeps; None is the platform's own limit, which no app exceeds."""

    app = models.OneToOneField("App", on_delete=models.CASCADE, related_name="log_retention")
    days = models.PositiveIntegerField(null=True, default=None)
    megabytes = models.PositiveIntegerField(null=True, default=None)
