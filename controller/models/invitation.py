"""Invitations: a link that makes one account, or gives a role, once and for a while."""

from django.conf import settings
from django.db import models


class Invitation(models.Model):
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="invitations")
    digest = models.CharField(max_length=64, unique=True)
    email = models.EmailField(blank=True, default="")
    team = models.ForeignKey("Team", on_delete=models.CASCADE, null=True, related_name="invitations")
    app = models.ForeignKey("App", on_delete=models.CASCADE, null=True, related_name="invitations")
    role = models.CharField(max_length=20, blank=True, default="")
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()
    accepted = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="accepted_invitations"
    )

    class Meta:
        ordering = ("-id",)
