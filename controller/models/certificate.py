"""TLS certificates people bring."""

from django.conf import settings
from django.db import models

from controller.models.base import Dated
from controller.models.secret_fields import SecretTextField


class Certificate(Dated):
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="certificates")
    name = models.CharField(max_length=253, unique=True)
    certificate = models.TextField()
    key = SecretTextField()
    common_name = models.TextField(blank=True, default="")
    san = models.JSONField(default=list)
    fingerprint = models.CharField(max_length=96)
    expires = models.DateTimeField()
    starts = models.DateTimeField()
    issuer = models.TextField(blank=True, default="")
    subject = models.TextField(blank=True, default="")

    expiry_told = models.PositiveSmallIntegerField(null=True)  # days before the end that were told of last

    class Meta:
        ordering = ("name",)
