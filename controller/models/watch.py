"""A release that went live and is still looked after. All that is known of it is here: any worker may look next."""

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Watch(models.Model):
    WATCHING, PASSED, FAILED, ENDED = "watching", "passed", "failed", "ended"

    release = models.OneToOneField("Release", on_delete=models.CASCADE, related_name="watch")
    state = models.CharField(max_length=10, default=WATCHING)
    since = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField()
    looked = models.DateTimeField(default=timezone.now)  # whoever moves this forward has the next look
    structure_before = models.JSONField(default=dict)  # the formation to go back to
    restarts = models.JSONField(default=dict)  # pod -> the restarts it had behind it when the release went live
    samples = models.JSONField(default=list)  # [seconds since `since`, requests, of them 5xx] as the router counts
    reason = models.TextField(blank=True, default="")  # why it failed

    class Meta:
        indexes = (models.Index(fields=("looked",), condition=Q(state="watching"), name="releases_to_watch"),)
