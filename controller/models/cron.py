"""Commands on a schedule that people added; those of `app.json` come with the build."""

from django.conf import settings
from django.db import models

from controller.models.base import Dated


class CronEntry(Dated):
    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="cron_entries")
    name = models.CharField(max_length=30)
    command = models.TextField()
    schedule = models.CharField(max_length=100)
    timezone = models.CharField(max_length=64, default="UTC")
    policy = models.CharField(max_length=10, default="forbid")  # allow, forbid, replace: when the last one still runs
    deadline = models.PositiveIntegerField(default=3600)  # seconds one run may take
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("app", "name"), name="one_cron_entry_per_name"),)


class CronPause(models.Model):
    """That an entry, of either kind, is not to run for now."""

    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="cron_pauses")
    name = models.CharField(max_length=30)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("app", "name"), name="one_pause_per_cron_entry"),)
