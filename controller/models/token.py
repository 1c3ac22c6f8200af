"""Personal tokens: limited keys to a person's account, for machines. Only their hash is kept."""

import secrets
from dataclasses import dataclass

from django.conf import settings
from django.db import models

PREFIX = "paas_"  # what secret scanners, and we ourselves, know one by
SCOPES = {
    "read": "see apps, processes, releases and logs; every token may",
    "deploy": "push, deploy, roll back, scale, restart",
    "config": "read and change config",
    "operate": "run commands; domains, certificates, settings",
    "admin": "everything the person may do",
}


@dataclass(frozen=True)
class Limits:
    """What a token leaves of its person's rights."""

    scopes: frozenset[str]
    app_id: object | None  # the only app it is for; None: all

    def allow(self, scope: str, app_id: object | None) -> bool:
        """Whether a request that needs `scope` passes; `app_id` is None for what belongs to no app."""
        if self.app_id is not None and self.app_id != app_id:
            return False
        return scope == "read" or scope in self.scopes or "admin" in self.scopes


class PersonalToken(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    app = models.ForeignKey("App", on_delete=models.CASCADE, null=True, related_name="tokens")
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField(null=True)
    last_used = models.DateTimeField(null=True)
    last_address = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint(fields=("user", "name"), name="one_token_per_name"),)

    @property
    def limits(self) -> Limits:
        return Limits(frozenset(self.scopes), self.app_id)


def new_token() -> str:
    return PREFIX + secrets.token_hex(20)
