"""Commands run in a pod of their own: who asked, how long they may take, how they ended."""

from django.conf import settings
from django.db import models
from django.utils import timezone


class OneOff(models.Model):
    ATTACHED, DETACHED = "attached", "detached"  # ends with its client; goes on without one
    RUNNING, SUCCEEDED, FAILED = "running", "succeeded", "failed"
    OVER = "over"  # an attached command's exit code goes to its client alone

    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="one_offs")
    name = models.CharField(max_length=80)  # of its pod
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    kind = models.CharField(max_length=10)
    command = models.TextField()
    version = models.PositiveIntegerField()  # of the release it runs
    created = models.DateTimeField(auto_now_add=True)
    deadline = models.DateTimeField()
    heartbeat = models.DateTimeField(default=timezone.now)  # the last sign of an attached one's client
    ended = models.DateTimeField(null=True, default=None)
    exit_code = models.IntegerField(null=True, default=None)  # None: it never ended by itself
    reason = models.TextField(blank=True, default="")  # why it ended otherwise

    class Meta:
        ordering = ("-id",)
        constraints = (models.UniqueConstraint(fields=("app", "name"), name="one_one_off_per_pod"),)
        indexes = (models.Index(fields=("ended", "heartbeat"), name="one_offs_to_tend"),)

    @property
    def state(self) -> str:
        if self.ended is None:
            return self.RUNNING
        if self.exit_code is None and not self.reason:
            return self.OVER
        return self.SUCCEEDED if self.exit_code == 0 else self.FAILED
