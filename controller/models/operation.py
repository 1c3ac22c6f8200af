"""Work on an app's processes that outlives a request: the queue's memory.

At most one operation of an app is unfinished, and the database holds that line. Whoever runs one writes a
heartbeat; one without is taken over, from the start, because every step may be repeated.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q


class Operation(models.Model):
    DEPLOY, SCALE, RESTORE = "deploy", "scale", "restore"  # restore: an older release takes over by itself
    QUEUED, RUNNING, SUCCEEDED, FAILED = "queued", "running", "succeeded", "failed"
    UNFINISHED = (QUEUED, RUNNING)

    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="operations")
    release = models.ForeignKey("Release", on_delete=models.CASCADE, related_name="operations")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    kind = models.CharField(max_length=10)
    state = models.CharField(max_length=10, default=QUEUED)
    created = models.DateTimeField(auto_now_add=True)
    heartbeat = models.DateTimeField(auto_now_add=True)
    runner = models.CharField(max_length=64, blank=True, default="")
    attempts = models.PositiveIntegerField(default=0)
    superseded = models.BooleanField(default=False)  # a forced operation waits for this one to stop
    cancelled_by = models.CharField(max_length=150, blank=True, default="")  # who wants it stopped and undone
    structure_before = models.JSONField(default=dict)  # the formation to go back to
    done = models.JSONField(default=list)  # commands around the deploy that have run, not to be run again
    said = models.TextField(blank=True, default="")  # the newest line of its output
    message = models.TextField(blank=True, default="")  # why it failed

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("app",), condition=Q(state__in=("queued", "running")), name="one_operation_at_a_time"
            ),
        )
        indexes = (models.Index(fields=("state", "heartbeat"), name="operations_to_recover"),)

    @property
    def finished(self) -> bool:
        return self.state not in self.UNFINISHED
