"""SSH keys people push with."""

from django.conf import settings
from django.db import models

from controller.models.base import Identified


class Key(Identified):
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="keys")
    name = models.CharField(max_length=128, unique=True)
    public = models.TextField(unique=True)
    fingerprint = models.CharField(max_length=128, db_index=True)

    class Meta:
        ordering = ("public",)
