"""An app's configuration: whole and immutable, one row per change."""

from django.conf import settings
from django.db import models

from controller.models.base import Identified
from controller.models.secret_fields import SecretJSONField

SECTIONS = (
    "values",
    "memory",
    "cpu",
    "tags",
    "registry",
    "healthcheck",
    "termination_grace_period",
    "lifecycle_post_start",
    "lifecycle_pre_stop",
)


class Config(Identified):
    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="configs")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="configs")
    values = SecretJSONField(default=dict)
    memory = models.JSONField(default=dict)
    cpu = models.JSONField(default=dict)
    tags = models.JSONField(default=dict)
    registry = SecretJSONField(default=dict)
    healthcheck = models.JSONField(default=dict)
    termination_grace_period = models.JSONField(default=dict)
    lifecycle_post_start = models.JSONField(default=dict)
    lifecycle_pre_stop = models.JSONField(default=dict)
    secret_keys = models.JSONField(default=list)  # of `values`: never shown again
    resolved = SecretJSONField(default=dict)  # from groups and links: key -> {"value", "from", "secret"}

    class Meta:
        ordering = ("-created",)

    def sections(self) -> dict[str, dict]:
        return {name: getattr(self, name) for name in SECTIONS}

    def environment(self) -> dict[str, str]:
        """What processes get: groups' variables, over them the app's own, over them links."""
        shared = {key: entry["value"] for key, entry in self.resolved.items() if entry["from"].startswith("group ")}
        linked = {key: entry["value"] for key, entry in self.resolved.items() if key not in shared}
        return {**shared, **self.values, **linked}

    def shown_variable(self, key: str) -> tuple[str, bool] | None:
        """The value of `key` in the environment, and whether it is write-only; None when there is none."""
        value = self.environment().get(key)
        if value is None:
            return None
        entry = self.resolved.get(key)
        own = entry is None or (entry["from"].startswith("group ") and key in self.values)
        return value, key in self.secret_keys if own else entry["secret"]

    def hidden_keys(self) -> set[str]:
        """The keys of the environment that are never shown."""
        own = set(self.secret_keys)
        shared = {key for key, entry in self.resolved.items() if entry["secret"] and key not in self.values}
        linked = {key for key, entry in self.resolved.items() if not entry["from"].startswith("group ")}
        return (own - linked) | shared | {key for key in linked if self.resolved[key]["secret"]}
