"""Notices: what happened to an app, who wants to hear of it, and how telling them went."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from controller.models.secret_fields import SecretTextField

EVENTS = {
    "deploy.succeeded": "a release went live",
    "deploy.failed": "a release did not go live",
    "release.failing": "a release that is live does badly, and stays",
    "release.rolled_back": "a release did badly and was taken back",
    "process.crashed": "a process ended by itself",
    "cron.failed": "a scheduled command failed",
    "certificate.expiring": "a certificate of one of the app's domains is about to expire",
    "platform_certificate.expiring": "one of the platform's own certificates is about to end (administrators alone)",
    "disk.low": "a disk of the platform is filling up (administrators alone)",
    "disk.recovered": "that disk has room again (administrators alone)",
}
PING = "ping"  # asked for by `webhooks:test`


class Webhook(models.Model):
    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="webhooks")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    url = SecretTextField()  # may hold somebody's token
    secret = SecretTextField()  # signs what is sent
    events = models.JSONField(default=list)  # empty: all
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)


class MailSubscription(models.Model):
    """Mail to `user` about one app, or (`app` None) about every app they may see."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mail_subscriptions")
    app = models.ForeignKey("App", on_delete=models.CASCADE, null=True, related_name="mail_subscriptions")
    events = models.JSONField(default=list)  # empty: all

    class Meta:
        ordering = ("app__name",)
        constraints = (
            models.UniqueConstraint(fields=("user", "app"), name="one_subscription_per_app"),
            models.UniqueConstraint(
                fields=("user",), condition=models.Q(app=None), name="one_subscription_to_everything"
            ),
        )


class Notice(models.Model):
    """Something that happened; written in the same transaction as what it tells of."""

    time = models.DateTimeField(default=timezone.now)
    event = models.CharField(max_length=40)
    app = models.ForeignKey("App", on_delete=models.CASCADE, null=True, related_name="notices")
    text = models.TextField()
    data = models.JSONField(default=dict)


class Delivery(models.Model):
    """One notice to one address: the outbox and its log. Whoever may have died in between, the row stays."""

    QUEUED, SENT, FAILED = "queued", "sent", "failed"

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="deliveries")
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, null=True, related_name="deliveries")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+")
    state = models.CharField(max_length=10, default=QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    next_try = models.DateTimeField(default=timezone.now)
    status = models.PositiveIntegerField(null=True)  # HTTP status of the last try
    error = models.TextField(blank=True, default="")
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("state", "next_try"), name="deliveries_due"),)


class CrashMark(models.Model):
    """What was seen of an app's restarts and failed runs, so that each is told of once."""

    app = models.OneToOneField("App", on_delete=models.CASCADE, related_name="crash_mark")
    restarts = models.JSONField(default=dict)  # process -> times its container was started again
    told = models.DateTimeField(null=True)
    failed_runs = models.JSONField(default=list)  # Jobs of schedules that were told of, as long as they are there


class DiskAlarm(models.Model):
    """A disk that is low, from the notice that says so to the one that says it is over."""

    place = models.CharField(max_length=300, unique=True)
    since = models.DateTimeField(default=timezone.now)


class CertificateAlarm(models.Model):
    """One of the platform's own certificates that ends soon, and how near its end was when that was told last."""

    name = models.CharField(max_length=300, unique=True)
    ends = models.DateTimeField()
    told = models.PositiveSmallIntegerField(null=True)  # days before the end; 0: it has ended
