"""The git host an app is built from, without a push to us."""

from django.conf import settings
from django.db import models

from controller.models.base import Identified
from controller.models.secret_fields import SecretTextField


class GitSource(Identified):
    """A new connection is a new row: the builder pins the host's key for the row."""

    app = models.OneToOneField("App", on_delete=models.CASCADE, related_name="git_source")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")  # builds are theirs
    url = models.CharField(max_length=1024)
    branch = models.CharField(max_length=255)
    secret = SecretTextField()  # signs the host's webhooks
    private_key = SecretTextField()
    public_key = models.TextField()  # the deploy key to give to the host
