"""Personal tokens: made, used, revoked."""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from controller.access import app_for
from controller.errors import Invalid, Missing
from controller.models import PersonalToken, User
from controller.models.token import PREFIX, new_token

USE_NOTED_EVERY = timedelta(minutes=1)  # so that reading isn't writing


def create_token(
    *, user: User, name: str, scopes: list[str], days: int | None, app: str | None = None
) -> tuple[PersonalToken, str]:
    """The token, and its text: this once, since only a hash is kept. `days` None: it never expires.

    Raises: Invalid, Missing, Forbidden.
    """
    text = new_token()
    found = app_for(user, app) if app else None
    expires = timezone.now() + timedelta(days=days) if days is not None else None
    try:
        with transaction.atomic():
            token = PersonalToken.objects.create(
                user=user, name=name, digest=User.digest(text), scopes=sorted(set(scopes)), app=found, expires=expires
            )
    except IntegrityError as exc:
        raise Invalid(name="You have a token with that name already.") from exc
    return token, text


def token_named(user: User, name: str) -> PersonalToken:
    """Raises: Missing."""
    token = user.tokens.select_related("app").filter(name=name).first()
    if token is None:
        raise Missing("Token")
    return token


def revoke_token(*, user: User, name: str) -> None:
    """Raises: Missing."""
    token_named(user, name).delete()


def user_of_token(text: str, address: str) -> tuple[User, PersonalToken | None] | None:
    """Whose token `text` is, with the limits of a personal one on the user; None when nobody's, or no longer."""
    if not text.startswith(PREFIX):
        user = User.objects.filter(token_digest=User.digest(text)).first()
        return (user, None) if user else None
    token = PersonalToken.objects.select_related("user").filter(digest=User.digest(text)).first()
    now = timezone.now()
    if token is None or (token.expires is not None and token.expires <= now):
        return None
    if token.last_used is None or now - token.last_used > USE_NOTED_EVERY or token.last_address != address:
        PersonalToken.objects.filter(pk=token.pk).update(last_used=now, last_address=address[:64])
    token.user.limits = token.limits
    return token.user, token
