"""A numbered pair of build and config."""

from django.conf import settings
from django.db import models

from controller.models.base import Identified


class Release(Identified):
    """`cause` is what made it: `create`, `build`, `config`, `rollback` or `promotion`; empty on the oldest ones."""

    CREATE, BUILD, CONFIG, ROLLBACK, PROMOTION = "create", "build", "config", "rollback", "promotion"

    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="releases")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="releases")
    version = models.PositiveIntegerField()
    summary = models.TextField(blank=True, default="")
    cause = models.CharField(max_length=12, blank=True, default="")
    failed = models.BooleanField(default=False)
    exception = models.TextField(null=True, default=None)
    config = models.ForeignKey("Config", on_delete=models.RESTRICT, related_name="releases")
    build = models.ForeignKey("Build", on_delete=models.RESTRICT, null=True, related_name="releases")
    structure = models.JSONField(default=dict)  # the formation it went live with

    class Meta:
        ordering = ("-version",)
        constraints = (models.UniqueConstraint(fields=("app", "version"), name="one_release_per_version"),)
