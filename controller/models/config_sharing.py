"""Config that apps share: groups attached to several apps, and links to another app's variables.

What they come to is written into each Config when a release is made (`Config.resolved`), so that a rollback brings
back what ran; these tables are what the next release resolves.
"""

from django.conf import settings
from django.db import models

from controller.models.base import Dated
from controller.models.secret_fields import SecretJSONField


class ConfigGroup(Dated):
    name = models.CharField(max_length=63, unique=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="config_groups")
    team = models.ForeignKey("Team", on_delete=models.SET_NULL, null=True, related_name="config_groups")
    values = SecretJSONField(default=dict)
    secret_keys = models.JSONField(default=list)

    class Meta:
        ordering = ("name",)


class GroupAttachment(models.Model):
    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="config_groups")
    group = models.ForeignKey(ConfigGroup, on_delete=models.CASCADE, related_name="attachments")

    class Meta:
        ordering = ("id",)  # of two groups with the same key the one attached later has it
        constraints = (models.UniqueConstraint(fields=("app", "group"), name="one_attachment_per_group"),)


class ConfigLink(models.Model):
    """`app`'s variable `key` is `source`'s `source_key`; when that is gone, the value last seen stays."""

    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="config_links")
    key = models.CharField(max_length=253)
    source = models.ForeignKey("App", on_delete=models.SET_NULL, null=True, related_name="linked_configs")
    source_name = models.CharField(max_length=63)
    source_key = models.CharField(max_length=253)

    class Meta:
        ordering = ("key",)
        constraints = (models.UniqueConstraint(fields=("app", "key"), name="one_link_per_variable"),)


class ConfigRefresh(models.Model):
    """What `app` shares has changed: a release with it is due. Survives whoever was to make it."""

    app = models.OneToOneField("App", on_delete=models.CASCADE, related_name="config_refresh")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    reason = models.TextField()
