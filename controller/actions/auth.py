"""Users: registered, signed in, ended."""

import logging

import redis
from django.conf import settings
from django.contrib.auth import authenticate
from django.db import transaction
from django.db.models import F, ProtectedError, RestrictedError

from controller.access import require_admin
from controller.errors import Conflict, Forbidden, Invalid, Missing, TooManyTries, Unauthorized
from controller.models import User
from controller.wakeups import connection

log = logging.getLogger(__name__)


def user_named(username: str) -> User:
    """Raises: Missing."""
    user = User.objects.filter(username=username).first()
    if user is None:
        raise Missing("User")
    return user


def register(*, by: User | None, username: str, password: str, email: str = "", **names: str) -> User:
    """A new user; the very first becomes the administrator. Raises: Forbidden."""
    with transaction.atomic():
        first = not User.objects.select_for_update().filter(is_superuser=True).exists()
        closed = settings.REGISTRATION_MODE == "disabled"
        for_admins = settings.REGISTRATION_MODE == "admin_only" and not (by and by.is_superuser)
        if closed or (for_admins and not first):
            raise Forbidden()
        user = User(username=username, email=email, is_superuser=first, is_staff=first, **names)
        user.set_password(password)
        user.save()
        return store_digest(user)


def store_digest(user: User) -> User:
    """Keeps the hash of the user's token, to find the user by."""
    user.token_digest = User.digest(user.token())
    user.save(update_fields=["token_digest"])
    return user


def log_in(*, username: str, password: str, address: str) -> User:
    """The user, if the password is right. Raises: Invalid, TooManyTries."""
    failures = Failures(username, address)
    failures.refuse_if_many()
    user = authenticate(username=username, password=password)
    if user is None or not user.is_active:
        failures.count()
        raise Invalid(non_field_errors="Unable to log in with provided credentials.")
    return user


class Failures:
    """Wrong passwords for one name from one address, in Redis; without Redis nobody is locked out."""

    def __init__(self, username: str, address: str):
        self._key = f"login-failures:{address}:{username}"

    def refuse_if_many(self) -> None:
        try:
            tries = int(connection().get(self._key) or 0)
        except (redis.RedisError, OSError):
            return
        if tries >= settings.LOGIN_FAILURES:
            minutes = settings.LOGIN_WINDOW // 60
            raise TooManyTries(f"Too many failed logins for this user; wait {minutes} minutes and try again.")

    def count(self) -> None:
        try:
            pipe = connection().pipeline()
            pipe.incr(self._key)
            pipe.expire(self._key, settings.LOGIN_WINDOW)
            pipe.execute()
        except (redis.RedisError, OSError) as exc:
            log.warning("failed login not counted", extra={"error": str(exc)})


def change_password(*, by: User, username: str | None, old: str | None, new: str) -> None:
    """Raises: Forbidden, Missing, Unauthorized."""
    user = by
    if username is not None and username != by.username:
        require_admin(by)
        user = user_named(username)
    if not by.is_superuser and not user.check_password(old or ""):
        raise Unauthorized("Current password does not match")
    user.set_password(new)
    user.save(update_fields=["password"])


def regenerate_token(user: User) -> str:
    """The user's new token; the old one is void."""
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(token_generation=F("token_generation") + 1)
        user.refresh_from_db()
        return store_digest(user).token()


def regenerate_all_tokens() -> None:
    with transaction.atomic():
        for user in User.objects.select_for_update().all():
            regenerate_token(user)


def cancel(*, by: User, username: str | None) -> None:
    """Deletes the user. Raises: Forbidden, Missing, Conflict."""
    user = by
    if username is not None and username != by.username:
        require_admin(by)
        user = user_named(username)
    if user.apps.exists():
        raise Conflict(f"{user.username} still has applications assigned. Delete or transfer ownership")
    try:
        user.delete()
    except (ProtectedError, RestrictedError) as exc:
        kinds = sorted({row._meta.verbose_name for row in getattr(exc, "protected_objects", ())})
        raise Conflict(
            f"{user.username} still owns {', '.join(kinds) or 'records'} in other apps or certificates"
        ) from exc


def set_admin(username: str, *, admin: bool) -> None:
    """Raises: Missing."""
    user = user_named(username)
    user.is_superuser = user.is_staff = admin
    user.save(update_fields=["is_superuser", "is_staff"])
