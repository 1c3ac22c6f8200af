"""Who may do what with an app: roles given to people and teams, and Deis' collaborators as a view on them."""

from django.db import transaction

from controller.access import OPERATE, roles_with
from controller.actions.auth import user_named
from controller.actions.events import record
from controller.actions.teams import team_for
from controller.errors import Conflict, Forbidden, Missing
from controller.models import App, Collaborator, TeamAccess, User
from controller.models.roles import COLLABORATOR, LEVELS


def collaborators_of(app: App) -> list[str]:
    """Whom Deis calls so: people given at least a collaborator's role by name."""
    rows = app.collaborators.filter(role__in=roles_with(OPERATE)).order_by("user__username")
    return list(rows.values_list("user__username", flat=True))


def grant(*, app: App, username: str) -> None:
    """Makes `username` at least a collaborator. Raises: Missing."""
    user = user_named(username)
    if user.pk != app.owner_id:
        entry, made = Collaborator.objects.get_or_create(app=app, user=user)
        if not made and LEVELS.get(entry.role, 0) < LEVELS[COLLABORATOR]:
            entry.role = COLLABORATOR
            entry.save(update_fields=["role"])
    record(app, f"User {username} was granted access to {app.name}")


def revoke(*, app: App, username: str) -> None:
    """Raises: Missing, Forbidden when the user had no permission."""
    user = user_named(username)
    deleted, _ = app.collaborators.filter(user=user).delete()
    if not deleted:
        raise Forbidden()
    record(app, f"User {username} was revoked access to {app.name}")


def give_role(*, app: App, username: str, role: str) -> Collaborator:
    """Raises: Missing, Conflict when the user owns the app."""
    user = user_named(username)
    if user.pk == app.owner_id:
        raise Conflict(f"{username} owns {app.name} and may do everything; `paas apps:transfer` changes its owner")
    with transaction.atomic():
        entry, _ = Collaborator.objects.update_or_create(app=app, user=user, defaults={"role": role})
        record(app, f"User {username} is {role} of {app.name}")
    return entry


def give_team_role(*, app: App, team: str, role: str, by: User) -> TeamAccess:
    """Raises: Missing for a team that `by` isn't in."""
    found = team_for(by, team)
    with transaction.atomic():
        entry, _ = TeamAccess.objects.update_or_create(app=app, team=found, defaults={"role": role})
        record(app, f"Team {team} is {role} of {app.name}")
    return entry


def take_team_role(*, app: App, team: str) -> None:
    """Raises: Missing."""
    deleted, _ = app.teams.filter(team__name=team).delete()
    if not deleted:
        raise Missing("Team")
    record(app, f"Team {team} has no role on {app.name} any more")
