"""Invitations: made, mailed, accepted once, taken back."""

import secrets
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from controller.access import OWN, app_for
from controller.actions.auth import create_user
from controller.actions.mail import send_mail
from controller.actions.perms import give_role
from controller.actions.teams import team_for
from controller.errors import BadRequest, Forbidden, Invalid, Missing
from controller.models import App, Invitation, Member, Team, User
from controller.models.roles import LEVELS

INVALID = "This invitation is used up, expired or taken back; ask for a new one."
TEXT = """{by} invites you to the platform at {platform}.

Choose a name and a password here, until {expires}:

    {link}

or on the command line: paas invitations:accept '{link}'
"""


def visible_invitations(user: User) -> QuerySet[Invitation]:
    rows = Invitation.objects.select_related("by", "team", "app", "accepted_by")
    return rows if user.is_superuser else rows.filter(by=user)


def invite(
    *, by: User, email: str = "", team: str | None = None, app: str | None = None, role: str = "", days: int
) -> tuple[Invitation, str]:
    """The invitation and its link: this once, since only a hash is kept. Mailed when there is an address.

    Whoever may register others invites them to the platform; a role on an app is its owner's to give.
    Raises: Forbidden, Missing, Invalid, BadRequest when mail isn't set up.
    """
    if settings.REGISTRATION_MODE != "enabled" and not by.is_superuser:
        raise Forbidden("Only an administrator invites people to this platform.")
    if bool(app) != bool(role):
        raise Invalid(role="A role needs an app, and an app a role.")
    found_app = app_for(by, app, OWN) if app else None
    found_team = team_for(by, team, manage=True) if team else None
    if email and not settings.MAIL_ENABLED:
        raise BadRequest(
            "This platform can't send mail (SMTP_URL isn't set); invite without an address, and pass on the link"
        )
    token = secrets.token_urlsafe(24)
    link = f"{settings.PLATFORM_URL}/join/?token={token}"
    with transaction.atomic():
        row = Invitation.objects.create(
            by=by, digest=User.digest(token), email=email, team=found_team, app=found_app, role=role,
            expires=timezone.now() + timedelta(days=days),
        )  # fmt: skip
        if email:
            told = {"by": by.username, "platform": settings.PLATFORM_URL, "link": link}
            text = TEXT.format(**told, expires=row.expires.strftime("%Y-%m-%d %H:%M UTC"))
            send_mail([email], f"{by.username} invites you to {settings.PLATFORM_DOMAIN}", text)
    return row, link


def token_of(text: str) -> str:
    """The token in a link, or the token itself."""
    return text.strip().rpartition("token=")[2]


def open_invitation(token: str) -> Invitation:
    """Raises: Invalid for one that is used up, expired, taken back or was never made."""
    row = (
        Invitation.objects.select_for_update()
        .filter(digest=User.digest(token_of(token)), accepted=None, expires__gt=timezone.now())
        .first()
    )
    if row is None:
        raise Invalid(token=INVALID)
    return row


def accept(
    *, token: str, by: User | None, username: str = "", password: str = "", email: str = "", **names: str
) -> User:
    """The invited user, new unless somebody signed in accepts; with what the invitation gives.

    Raises: Invalid.
    """
    with transaction.atomic():
        row = open_invitation(token)
        user = by or create_user(username=username, password=password, email=email or row.email, **names)
        if row.team is not None:
            Member.objects.get_or_create(team=Team.objects.get(pk=row.team_id), user=user)
        if row.app is not None:
            raise_role(row.app, user, row.role)
        row.accepted, row.accepted_by = timezone.now(), user
        row.save(update_fields=["accepted", "accepted_by"])
    return user


def raise_role(app: App, user: User, role: str) -> None:
    """`role` on `app` for `user`, unless they have more already."""
    entry = app.collaborators.filter(user=user).first()
    if user.pk != app.owner_id and (entry is None or LEVELS.get(entry.role, 0) < LEVELS[role]):
        give_role(app=app, username=user.username, role=role)


def take_back(*, by: User, number: int) -> None:
    """Raises: Missing."""
    deleted, _ = visible_invitations(by).filter(pk=number, accepted=None).delete()
    if not deleted:
        raise Missing("Invitation")
