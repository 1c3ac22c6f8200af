"""What a push or an image makes: something to run, and the processes it declares."""

from django.conf import settings
from django.db import models

from controller.models.base import Identified


class Build(Identified):
    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="builds")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="builds")
    image = models.TextField()
    sha = models.CharField(max_length=64, blank=True, default="")
    procfile = models.JSONField(default=dict)
    dockerfile = models.TextField(blank=True, default="")
    stack = models.CharField(max_length=100, blank=True, default="")
    git_ref = models.CharField(max_length=255, blank=True, default="")
    app_json = models.JSONField(null=True, default=None)  # the app's app.json as it is (controller/app_json.py)
    ports = models.JSONField(null=True, default=None)  # ports the image exposes; None when nobody could look
    collected = models.DateTimeField(null=True, default=None)  # when its image was let go of (actions/collection.py)

    class Meta:
        ordering = ("-created",)

    @property
    def kind(self) -> str:
        """`dockerfile`, `buildpack` or `image`."""
        if self.dockerfile:
            return "dockerfile"
        return "buildpack" if self.sha else "image"
