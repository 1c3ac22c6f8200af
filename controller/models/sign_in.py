"""Browsers that are signed in."""

from django.conf import settings
from django.db import models


class SignIn(models.Model):
    """Where a session of the dashboard came from; over when its session is."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="sign_ins")
    session = models.CharField(max_length=40, unique=True)  # its key
    address = models.CharField(max_length=64, blank=True, default="")
    agent = models.CharField(max_length=200, blank=True, default="")  # as the browser names itself
    time = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
