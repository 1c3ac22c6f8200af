"""Users: registered, signed in, ended."""

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, ProtectedError, RestrictedError

from controller.access import require_admin
from controller.actions import audit
from controller.actions.login_throttle import Failures
from controller.actions.second_factor import WRONG, check_code, has_second_factor
from controller.errors import Conflict, Forbidden, Invalid, Missing, Unauthorized
from controller.models import User


def user_named(username: str) -> User:
    """Raises: Missing."""
    user = User.objects.filter(username=username).first()
    if user is None:
        raise Missing("User")
    return user


def register(*, by: User | None, username: str, password: str, email: str = "", **names: str) -> User:
    """A new user; the very first becomes the administrator. Raises: Forbidden, Invalid."""
    with transaction.atomic():
        first = not User.objects.select_for_update().filter(is_superuser=True).exists()
        closed = settings.REGISTRATION_MODE == "disabled"
        for_admins = settings.REGISTRATION_MODE == "admin_only" and not (by and by.is_superuser)
        if closed or (for_admins and not first):
            raise Forbidden()
        return create_user(
            username=username, password=password, email=email, is_superuser=first, is_staff=first, **names
        )


def create_user(*, username: str, password: str | None, email: str = "", **fields) -> User:
    """A user, whoever may have asked; `password` None leaves only other ways to sign in. Raises: Invalid."""
    user = User(username=username, email=email, **fields)
    if password is None:
        user.set_unusable_password()
    else:
        check_password(user, password, "password")
        user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError as exc:
        raise Invalid(username="A user with that username already exists.") from exc
    return store_digest(user)


def check_password(user: User, password: str, field: str) -> None:
    """Raises: Invalid for a password that is easily guessed."""
    try:
        validate_password(password, user)
    except ValidationError as exc:
        raise Invalid(**{field: exc.messages}) from exc


def store_digest(user: User) -> User:
    """Keeps the hash of the user's token, to find the user by."""
    user.token_digest = User.digest(user.token())
    user.save(update_fields=["token_digest"])
    return user


def log_in(*, username: str, password: str, code: str = "", address: str, via: str = "login") -> User:
    """The user, if the password is right, and the code where a second factor is on.

    Raises: Invalid (on `code` when only that is missing or wrong), Throttled.
    """
    failures = Failures(username, address)
    failures.refuse_if_many()
    user = authenticate(username=username, password=password)
    try:
        if user is None or not user.is_active:
            raise Invalid(non_field_errors="Unable to log in with provided credentials.")
        if has_second_factor(user):
            if not code:
                raise Invalid(code=CODE_NEEDED)
            if not check_code(user, code):
                raise Invalid(code=WRONG)
    except Invalid:
        if user is None or not user.is_active or code:
            failures.count()
        known = User.objects.filter(username=username).exists()
        audit.note(actor=username if known else "somebody", via=via, address=address, action="log in", status=400)
        raise
    failures.forget()
    update_last_login(None, user)
    audit.note(actor=username, via=via, address=address, action="log in")
    return user


CODE_NEEDED = "A code of your authenticator app is needed as well."


def change_password(*, by: User, username: str | None, old: str | None, new: str) -> None:
    """Raises: Forbidden, Missing, Unauthorized."""
    user = by
    if username is not None and username != by.username:
        require_admin(by)
        user = user_named(username)
    if not by.is_superuser and not user.check_password(old or ""):
        raise Unauthorized("Current password does not match")
    check_password(user, new, "new_password")
    user.set_password(new)
    user.save(update_fields=["password"])


def prove_password(user: User, password: str, address: str) -> None:
    """Somebody signed in shows that it is they; who has no password needs none. Raises: Invalid, Throttled."""
    failures = Failures(user.username, address)
    failures.refuse_if_many()
    if user.has_usable_password() and not user.check_password(password):
        failures.count()
        raise Invalid(password="That is not your password.")


def prove_code(user: User, code: str, address: str) -> None:
    """Somebody whom a provider vouches for shows the second factor as well. Raises: Invalid, Throttled."""
    failures = Failures(user.username, address)
    failures.refuse_if_many()
    if not check_code(user, code):
        failures.count()
        audit.note(actor=user.username, via="login", address=address, action="log in", status=400)
        raise Invalid(code=WRONG)
    failures.forget()


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
    if user.is_superuser:
        keep_an_admin(user)
    if user.apps.exists():
        raise Conflict(f"{user.username} still has applications assigned. Delete or transfer ownership")
    try:
        user.delete()
    except (ProtectedError, RestrictedError) as exc:
        kept = list(getattr(exc, "protected_objects", None) or exc.restricted_objects)
        raise Conflict(f"{user.username} can't be deleted: {what_stays(kept)}") from exc


def what_stays(rows: list) -> str:
    """What of a user others need, and what can be done about it."""
    apps = sorted({row.app.name for row in rows if hasattr(row, "app")})
    named = sorted(f"{row._meta.verbose_name} {row.name}" for row in rows if hasattr(row, "name"))
    reasons = []
    if named:
        reasons.append(f"these are theirs, remove them first: {', '.join(named)}")
    if apps:
        reasons.append(f"config, builds or releases of the apps {', '.join(apps)} are theirs, and stay while those do")
    return "; ".join(reasons) or "other records need them"


def set_admin(username: str, *, admin: bool) -> None:
    """Raises: Missing, Conflict for the last administrator."""
    with transaction.atomic():
        list(User.objects.select_for_update().filter(is_superuser=True))
        user = user_named(username)
        if user.is_superuser and not admin:
            keep_an_admin(user)
        user.is_superuser = user.is_staff = admin
        user.save(update_fields=["is_superuser", "is_staff"])


def keep_an_admin(leaving: User) -> None:
    """Raises: Conflict when the platform would be left with users and no administrator."""
    others = User.objects.exclude(pk=leaving.pk).filter(is_active=True)
    if others.exists() and not others.filter(is_superuser=True).exists():
        raise Conflict(
            f"{leaving.username} is the last administrator; make somebody else one first "
            "(`paas perms:create NAME --admin`)"
        )
