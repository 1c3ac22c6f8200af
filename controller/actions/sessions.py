"""The dashboard's sessions: whose they are, where they came from, and ending them."""

from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from controller.errors import Missing
from controller.models import SignIn, User


def begin(*, user: User, session: str, address: str, agent: str) -> SignIn:
    """Notes down where the session with that key came from."""
    given = {"user": user, "address": address[:64], "agent": agent[:200]}
    entry, _ = SignIn.objects.update_or_create(session=session, defaults=given)
    return entry


def sessions_of(user: User) -> list[SignIn]:
    """Those that last, the newest first."""
    alive = Session.objects.filter(expire_date__gt=timezone.now()).values("session_key")
    return list(user.sign_ins.filter(session__in=alive))


def end(*, user: User, number: int) -> None:
    """Raises: Missing."""
    entry = user.sign_ins.filter(pk=number).first()
    if entry is None:
        raise Missing("Session")
    forget([entry])


def end_others(*, user: User, but: str) -> int:
    """Ends every session of `user` but the one with the key `but`; how many there were."""
    others = [entry for entry in sessions_of(user) if entry.session != but]
    forget(others)
    return len(others)


def forget(entries: list[SignIn]) -> None:
    Session.objects.filter(session_key__in=[entry.session for entry in entries]).delete()
    SignIn.objects.filter(pk__in=[entry.pk for entry in entries]).delete()


def forget_old_sessions() -> None:
    """Deletes those that have expired."""
    SessionStore.clear_expired()
    SignIn.objects.exclude(session__in=Session.objects.values("session_key")).delete()
