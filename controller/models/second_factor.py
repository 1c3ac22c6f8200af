"""A second factor beside the password: time-based codes (RFC 6238), and recovery codes for a lost phone."""

from django.conf import settings
from django.db import models

from controller.models.secret_fields import SecretTextField


class SecondFactor(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="second_factor")
    secret = SecretTextField()  # base32
    confirmed = models.BooleanField(default=False)  # asked for at login only from then on
    last_step = models.BigIntegerField(default=0)  # the newest code accepted: none is accepted twice
    recovery_digests = models.JSONField(default=list)  # of codes not used up yet
    created = models.DateTimeField(auto_now_add=True)
