"""Sign-in elsewhere, and the command line's sign-in by a browser."""

from django.conf import settings
from django.db import models


class Identity(models.Model):
    """A person as an OpenID Connect provider knows them."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="identities")
    issuer = models.CharField(max_length=255)
    subject = models.CharField(max_length=255)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("issuer", "subject"), name="one_user_per_identity"),)


class LoginGrant(models.Model):
    """A code that a browser gave to a command line: good once, for minutes, for whoever holds the verifier."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64, unique=True)
    challenge = models.CharField(max_length=64)
    expires = models.DateTimeField()
