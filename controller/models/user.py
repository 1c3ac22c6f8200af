"""People."""

import hashlib
import hmac

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models

from controller.models.token import Limits


class User(AbstractUser):
    """A person. The API token is computed, never stored: the database keeps only its hash, to find the user by."""

    token_generation = models.PositiveIntegerField(default=0)
    token_digest = models.CharField(max_length=64, blank=True, db_index=True)

    limits: Limits | None = None  # what the personal token of this request leaves; no column

    def token(self) -> str:
        """The user's 40-hex token; the same until `token_generation` moves."""
        message = f"token:{self.pk}:{self.date_joined.isoformat()}:{self.token_generation}"
        return hmac.new(settings.SECRET_KEY.encode(), message.encode(), hashlib.sha256).hexdigest()[:40]

    @staticmethod
    def digest(token: str) -> str:
        return hashlib.sha256(token.encode()).hexdigest()
