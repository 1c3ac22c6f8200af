"""A new key for the encrypted columns, while everything runs.

The new key becomes the first line of COLUMN_KEYS_FILE, so that every process writes with it at once; then each value
under an older key is written again, compared and swapped, so that a change made meanwhile wins. Killed anywhere, it
goes on where it was: what is under the newest key is left alone. Older keys stay readable until they are dropped.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from cryptography.fernet import InvalidToken
from django.apps import apps
from django.conf import settings
from django.db import connection

from controller.errors import Conflict
from controller.models.secret_fields import (
    FIRST_KEY,
    SecretTextField,
    WrongKey,
    decrypt,
    encrypt,
    is_current,
    key_lines,
)

BATCH = 200  # rows read at a time


def add_key() -> None:
    """A random key becomes the newest."""
    write_keys([secrets.token_urlsafe(32), *key_lines()])


def write_keys(lines: list[str]) -> None:
    """Replaces the file in one step; only its owner may read it."""
    path = Path(settings.COLUMN_KEYS_FILE)
    scratch = path.with_name(path.name + ".new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        owner = path.stat()
        os.chown(scratch, owner.st_uid, owner.st_gid)
    os.replace(scratch, path)


def secret_columns() -> Iterator[tuple[str, str, str]]:
    """(table, primary key's column, encrypted column) of each."""
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, SecretTextField):
                yield model._meta.db_table, model._meta.pk.column, field.column


def old_values(table: str, key: str, column: str) -> Iterator[tuple[object, str]]:
    """(primary key, text) of each value that isn't under the newest key."""
    quote = connection.ops.quote_name
    query = f"SELECT {quote(key)}, {quote(column)} FROM {quote(table)} WHERE {quote(column)} IS NOT NULL"
    after: list[object] = []
    while True:
        more = f" AND {quote(key)} > %s" if after else ""
        with connection.cursor() as cursor:
            cursor.execute(f"{query}{more} ORDER BY {quote(key)} LIMIT {BATCH}", after)
            rows = cursor.fetchall()
        if not rows:
            return
        after = [rows[-1][0]]
        yield from ((pk, text) for pk, text in rows if not is_current(text))


def reencrypt() -> int:
    """Writes every value under the newest key; how many were not yet. Raises: WrongKey."""
    written, quote = 0, connection.ops.quote_name
    for table, key, column in secret_columns():
        for pk, text in old_values(table, key, column):
            try:
                fresh = encrypt(decrypt(text))
            except InvalidToken as exc:
                raise WrongKey(
                    f"{table}.{column} of {pk} is under a key that isn't at hand; put it back first"
                ) from exc
            with connection.cursor() as cursor:
                cursor.execute(
                    f"UPDATE {quote(table)} SET {quote(column)} = %s WHERE {quote(key)} = %s AND {quote(column)} = %s",
                    [fresh, pk, text],
                )
                written += cursor.rowcount
    return written


def drop_old_keys() -> int:
    """Keeps the newest key alone; how many went. Raises: Conflict while anything needs an older one."""
    for table, key, column in secret_columns():
        for pk, _ in old_values(table, key, column):
            raise Conflict(f"{table}.{column} of {pk} is still under an older key; run rotate_keys --continue first")
    lines = key_lines()
    if lines != [FIRST_KEY]:
        write_keys(lines[:1])
    return len(lines) - 1
