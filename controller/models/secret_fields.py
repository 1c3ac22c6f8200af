"""Columns that are encrypted where they lie: a copy of the database alone tells nothing.

The keys are outside the database: COLUMN_KEYS_FILE has one a line, the newest first, and new values are encrypted
under that one; older ones are only read with. Until the first `manage.py rotate_keys` there is no such file, and the
key comes from SECRET_KEY_FILE, which the word `secret-key-file` on a line of its own stands for later.
"""

import base64
import hashlib
import json
import os
from functools import cache
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import models

FIRST_KEY = "secret-key-file"


class WrongKey(Exception):
    """The database was written under keys that aren't at hand."""


@cache
def _box(secret: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"columns:" + secret.encode()).digest()))


_read: tuple[object, list[str]] = (None, [])


def key_lines() -> list[str]:
    """The lines of COLUMN_KEYS_FILE, read again whenever the file changed; every process follows a rotation."""
    global _read
    path = settings.COLUMN_KEYS_FILE
    try:
        state = os.stat(path)
    except (FileNotFoundError, TypeError):
        return [FIRST_KEY]
    mark = (path, state.st_mtime_ns, state.st_ino, state.st_size)
    if _read[0] != mark:
        _read = (mark, [line.strip() for line in Path(path).read_text().splitlines() if line.strip()])
    return _read[1]


def _boxes() -> list[Fernet]:
    """Newest first."""
    return [_box(settings.SECRET_KEY if line == FIRST_KEY else line) for line in key_lines()]


def encrypt(raw: bytes) -> str:
    return _boxes()[0].encrypt(raw).decode()


def decrypt(text: str) -> bytes:
    """Raises: InvalidToken when no key at hand fits."""
    for box in _boxes():
        try:
            return box.decrypt(text.encode())
        except InvalidToken:
            continue
    raise InvalidToken


def is_current(text: str) -> bool:
    """Whether `text` is encrypted under the newest key."""
    try:
        _boxes()[0].decrypt(text.encode())
    except InvalidToken:
        return False
    return True


class SecretTextField(models.TextField):
    """A text, encrypted in its column."""

    def get_prep_value(self, value):
        return None if value is None else encrypt(self.encode(value))

    def from_db_value(self, value, expression, connection):
        if value is None:
            return None
        try:
            return self.decode(decrypt(value))
        except InvalidToken as exc:
            raise WrongKey(
                f"{self.model._meta.db_table}.{self.column} was encrypted under another key; put the SECRET_KEY_FILE "
                "and COLUMN_KEYS_FILE back that this database was written with"
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
