"""The dashboard's sessions."""

from django.contrib.sessions.backends.db import SessionStore


def forget_old_sessions() -> None:
    """Deletes those that have expired."""
    SessionStore.clear_expired()
