"""Users by their identity at a provider, and logins handed from a browser to a command line."""

import re
import secrets
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from controller.actions.auth import create_user
from controller.errors import Conflict, Forbidden, Invalid
from controller.models import Identity, LoginGrant, User
from controller.oidc import Person, challenge_of

GRANT_LIFE = timedelta(minutes=5)


def user_of_person(person: Person, signed_in: User | None) -> User:
    """The user that belongs to `person`; made at the first time, or joined to who is signed in already.

    A name that somebody has is never taken over: they sign in as they did, and connect the identity then.
    Raises: Forbidden, Conflict.
    """
    with transaction.atomic():
        known = Identity.objects.select_related("user").filter(issuer=person.issuer, subject=person.subject).first()
        if known is not None:
            if signed_in is not None and known.user_id != signed_in.pk:
                raise Conflict(f"That identity belongs to {known.user.username} already")
            if not known.user.is_active:
                raise Forbidden("This account is not active.")
            return known.user
        user = signed_in or new_user(person)
        Identity.objects.create(user=user, issuer=person.issuer, subject=person.subject)
    return user


def new_user(person: Person) -> User:
    """Raises: Forbidden, Conflict."""
    if not settings.OIDC_REGISTER:
        raise Forbidden("You have no account here yet; ask an administrator for an invitation.")
    username = re.sub(r"[^\w.@+-]", "-", person.username)[:150] or f"user-{secrets.token_hex(4)}"
    if User.objects.filter(username=username).exists():
        raise Conflict(
            f"There is an account named {username} already; if it is yours, sign in with its password "
            "and connect the two on your account's page"
        )
    first = not User.objects.filter(is_superuser=True).exists()
    return create_user(
        username=username, password=None, email=person.email[:254], is_superuser=first, is_staff=first,
        first_name=person.name[:150],
    )  # fmt: skip


def grant_login(user: User, challenge: str) -> str:
    """A code for the command line that made `challenge`. Raises: Invalid."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}", challenge):
        raise Invalid(challenge="That is no S256 challenge; run `paas login` again.")
    code = secrets.token_urlsafe(18)
    LoginGrant.objects.create(
        user=user, digest=User.digest(code), challenge=challenge, expires=timezone.now() + GRANT_LIFE
    )
    return code


def redeem_login(code: str, verifier: str) -> User:
    """The user who gave `code`; a wrong verifier uses it up as well. Raises: Invalid."""
    with transaction.atomic():
        LoginGrant.objects.filter(expires__lt=timezone.now()).delete()
        row = LoginGrant.objects.select_for_update().select_related("user").filter(digest=User.digest(code)).first()
        if row is not None:
            row.delete()
    right = row is not None and secrets.compare_digest(row.challenge, challenge_of(verifier)) and row.user.is_active
    if not right:
        raise Invalid(code="This code is used up, expired or another login's; run `paas login` again.")
    return row.user
