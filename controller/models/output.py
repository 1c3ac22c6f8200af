"""What was said while an operation brought a release about, kept for whoever asks later."""

from django.db import models
from django.utils import timezone


class OutputLine(models.Model):
    """`source` is who spoke: the platform itself, or the command (`release`, `predeploy`, …) whose output it is."""

    PLATFORM, STEP = "platform", "step"

    release = models.ForeignKey("Release", on_delete=models.CASCADE, related_name="output")
    operation = models.ForeignKey("Operation", on_delete=models.CASCADE, null=True, related_name="output")
    time = models.DateTimeField(default=timezone.now)
    source = models.CharField(max_length=20, default=PLATFORM)
    text = models.TextField()

    class Meta:
        ordering = ("id",)
        indexes = (
            models.Index(fields=("release", "id"), name="output_of_a_release"),
            models.Index(fields=("operation", "id"), name="output_of_an_operation"),
        )
