"""One try to turn source or an image into a release, whatever became of it: who, from where, how long, why not.

Rows in state `queued` with a wish are also the queue of what nobody waits for (webhooks, connected git hosts): the
builder claims them. Their output is the builder's to keep.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from controller.models.base import Identified


class BuildRun(Identified):
    QUEUED, BUILDING, SUCCEEDED, FAILED, CANCELLED, SKIPPED = (
        "queued", "building", "succeeded", "failed", "cancelled", "skipped",
    )  # fmt: skip
    UNFINISHED = (QUEUED, BUILDING)
    SOURCES = ("git-ssh", "git-http", "upload", "git-host", "webhook", "image", "docker-push")

    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="build_runs")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    number = models.PositiveIntegerField()
    source = models.CharField(max_length=20)
    origin = models.CharField(max_length=255, blank=True, default="")  # the client's address, or the git host's URL
    ref = models.CharField(max_length=255, blank=True, default="")
    sha = models.CharField(max_length=64, blank=True, default="")
    state = models.CharField(max_length=10, default=QUEUED)
    started = models.DateTimeField(null=True, default=None)
    ended = models.DateTimeField(null=True, default=None)
    cause = models.TextField(blank=True, default="")  # why it failed, in one line
    hint = models.TextField(blank=True, default="")  # the command to type next
    build = models.ForeignKey("Build", on_delete=models.SET_NULL, null=True, related_name="runs")
    release = models.PositiveIntegerField(null=True, default=None)  # its version
    delivery = models.CharField(max_length=128, blank=True, default="")  # the webhook's or registry's id of the event
    wish = models.JSONField(default=dict)  # what a queued run is to do
    claimed = models.BooleanField(default=False)  # by the builder that runs
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=("app", "number"), name="one_build_run_per_number"),
            models.UniqueConstraint(
                fields=("app", "delivery"), condition=~Q(delivery=""), name="one_build_run_per_delivery"
            ),
        )
        indexes = (models.Index(fields=("state", "created"), name="build_runs_to_claim"),)

    @property
    def finished(self) -> bool:
        return self.state not in self.UNFINISHED

    @property
    def seconds(self) -> float | None:
        """From its start to its end."""
        return (self.ended - self.started).total_seconds() if self.ended and self.started else None
