"""Collaborators of an app."""

from controller.actions.auth import user_named
from controller.actions.events import record
from controller.errors import Forbidden
from controller.models import App, Collaborator


def grant(*, app: App, username: str) -> None:
    """Raises: Missing."""
    user = user_named(username)
    if user.pk != app.owner_id:
        Collaborator.objects.get_or_create(app=app, user=user)
    record(app, f"User {username} was granted access to {app.name}")


def revoke(*, app: App, username: str) -> None:
    """Raises: Missing, Forbidden when the user had no permission."""
    user = user_named(username)
    deleted, _ = app.collaborators.filter(user=user).delete()
    if not deleted:
        raise Forbidden()
    record(app, f"User {username} was revoked access to {app.name}")
