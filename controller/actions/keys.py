"""SSH keys."""

import base64
import hashlib

from django.db import IntegrityError, transaction

from controller.errors import Invalid, Missing
from controller.models import Key, User


def fingerprint(public: str) -> str:
    """MD5 of the key's blob, as colon-separated hex. Raises: Invalid."""
    try:
        blob = base64.b64decode(public.split()[1], validate=True)
    except (IndexError, ValueError) as exc:  # binascii's error is one, and what isn't ASCII at all another
        raise Invalid(public="Key contains invalid base64 chars") from exc
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, 32, 2))


def add_key(*, owner: User, name: str, public: str) -> Key:
    """Raises: Invalid."""
    public = public.strip()
    print_ = fingerprint(public)
    if Key.objects.filter(name=name).exists():
        raise Invalid(id="SSH Key with this id already exists.")
    if Key.objects.filter(public=public).exists() or Key.objects.filter(fingerprint=print_).exists():
        raise Invalid(public="Public Key is already in use")
    try:
        with transaction.atomic():
            return Key.objects.create(owner=owner, name=name, public=public, fingerprint=print_)
    except IntegrityError as exc:
        raise Invalid(public="Public Key is already in use") from exc


def key_of(owner: User, name: str) -> Key:
    """Raises: Missing."""
    key = owner.keys.filter(name=name).first()
    if key is None:
        raise Missing("Key")
    return key


def remove_key(*, owner: User, name: str) -> None:
    """Raises: Missing."""
    key_of(owner, name).delete()
