"""What apps answered and used, minute by minute: the figures of the dashboard's graphs."""

from django.db import models


class Usage(models.Model):
    """An app's figures of the `minutes` before `time`."""

    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="usage")
    time = models.DateTimeField()
    minutes = models.PositiveSmallIntegerField()
    requests = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)  # 5xx, the router's own included
    latency = models.FloatField(null=True)  # seconds within which 95 of 100 were answered; None: too few to say
    types = models.JSONField(default=dict)  # process type -> [processes, cores of all, bytes of the largest]

    class Meta:
        ordering = ("time",)
        constraints = [models.UniqueConstraint(fields=["app", "minutes", "time"], name="one_usage_a_span")]


class TrafficReading(models.Model):
    """The router's counters of an app at the last look."""

    app = models.OneToOneField("App", on_delete=models.CASCADE, related_name="traffic_reading")
    time = models.DateTimeField()
    requests = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    buckets = models.JSONField(default=dict)  # "seconds" -> requests that took at most that; cumulative
