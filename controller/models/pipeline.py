"""Apps as the stages of one product."""

from django.conf import settings
from django.db import models

from controller.models.base import Dated

DEFAULT_STAGES = ("development", "staging", "production")


def default_stages() -> list[str]:
    return list(DEFAULT_STAGES)


class Pipeline(Dated):
    name = models.CharField(max_length=63, unique=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="pipelines")
    stages = models.JSONField(default=default_stages)  # their names, in the order of promotion

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class PipelineApp(Dated):
    """An app's place; an app is in one pipeline at most."""

    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="apps")
    app = models.OneToOneField("App", on_delete=models.CASCADE, related_name="place")
    stage = models.CharField(max_length=63)

    class Meta:
        ordering = ("app__name",)
