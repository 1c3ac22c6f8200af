"""Columns that are encrypted where they lie: a copy of the database alone tells nothing.

The key comes from SECRET_KEY_FILE, which is outside the database.
"""

import base64
import hashlib
import json
from functools import cache

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import models


class WrongKey(Exception):
    """The database was written under another SECRET_KEY_FILE."""


@cache
def _box(secret: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"columns:" + secret.encode()).digest()))


class SecretTextField(models.TextField):
    """A text, encrypted in its column."""

    def get_prep_value(self, value):
        if value is None:
            return None
        return _box(settings.SECRET_KEY).encrypt(self.encode(value)).decode()

    def from_db_value(self, value, expression, connection):
        if value is None:
            return None
        try:
            return self.decode(_box(settings.SECRET_KEY).decrypt(value.encode()))
        except InvalidToken as exc:
            raise WrongKey(
                f"{self.model._meta.db_table}.{self.column} was encrypted under another key; "
                "put the SECRET_KEY_FILE back that this database was written with"
            ) from exc

    def encode(self, value) -> bytes:
        return value.encode()

    def decode(self, raw: bytes):
        return raw.decode()


class SecretJSONField(SecretTextField):
    """A JSON value, encrypted in its column."""

    def encode(self, value) -> bytes:
        return json.dumps(value).encode()

    def decode(self, raw: bytes):
        return json.loads(raw)
