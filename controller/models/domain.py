"""Names an app answers under."""

from django.conf import settings
from django.db import models

from controller.models.base import Dated


class Domain(Dated):
    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="domains")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="domains")
    domain = models.CharField(max_length=253, unique=True)  # as typed
    canonical = models.CharField(max_length=253, unique=True)  # lower case: what must not clash
    certificate = models.ForeignKey("Certificate", on_delete=models.SET_NULL, null=True, related_name="domains")

    class Meta:
        ordering = ("domain",)
