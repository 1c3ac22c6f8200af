"""What autoscaling by the router's figures knows of an app from one look to the next."""

from django.db import models


class ScalingState(models.Model):
    app = models.OneToOneField("App", on_delete=models.CASCADE, related_name="scaling")
    time = models.DateTimeField()  # of the last look
    requests = models.BigIntegerField(default=0)
    buckets = models.JSONField(default=dict)  # "seconds" -> requests that took at most that; cumulative
    proposals = models.JSONField(default=list)  # [unix time, processes] of the last minutes
