"""An app's configuration: whole and immutable, one row per change."""

from django.conf import settings
from django.db import models

from controller.models.base import Identified
from controller.models.secret_fields import SecretJSONField

SECTIONS = (
    "values",
    "memory",
    "cpu",
    "tags",
    "registry",
    "healthcheck",
    "termination_grace_period",
    "lifecycle_post_start",
    "lifecycle_pre_stop",
)


class Config(Identified):
    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="configs")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="configs")
    values = SecretJSONField(default=dict)
    memory = models.JSONField(default=dict)
    cpu = models.JSONField(default=dict)
    tags = models.JSONField(default=dict)
    registry = SecretJSONField(default=dict)
    healthcheck = models.JSONField(default=dict)
    termination_grace_period = models.JSONField(default=dict)
    lifecycle_post_start = models.JSONField(default=dict)
    lifecycle_pre_stop = models.JSONField(default=dict)

    class Meta:
        ordering = ("-created",)

    def sections(self) -> dict[str, dict]:
        return {name: getattr(self, name) for name in SECTIONS}
