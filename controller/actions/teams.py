"""Teams: made, joined, left, ended. Who isn't in a team can't tell that it exists."""

from django.db import IntegrityError, transaction
from django.db.models import Count, QuerySet

from controller.actions.auth import user_named
from controller.errors import Conflict, Forbidden, Invalid, Missing
from controller.models import Member, Team, User


def visible_teams(user: User) -> QuerySet[Team]:
    teams = Team.objects.order_by("name")
    teams = teams if user.is_superuser else teams.filter(members__user=user)
    return teams.annotate(member_count=Count("members", distinct=True))


def team_for(user: User, name: str, *, manage: bool = False) -> Team:
    """Raises: Missing for a stranger, Forbidden when `manage` is wished by a plain member."""
    team = Team.objects.filter(name=name).first()
    if team is None:
        raise Missing("Team")
    if user.is_superuser:
        return team
    member = team.members.filter(user=user).first()
    if member is None:
        raise Missing("Team")
    if manage and not member.manager:
        raise Forbidden("Only a manager of the team or an administrator may do that.")
    return team


def create_team(*, by: User, name: str) -> Team:
    """A team that `by` manages. Raises: Invalid."""
    try:
        with transaction.atomic():
            team = Team.objects.create(name=name)
            Member.objects.create(team=team, user=by, manager=True)
            return team
    except IntegrityError as exc:
        raise Invalid(name="A team with that name already exists.") from exc


def destroy_team(*, by: User, name: str) -> None:
    """Raises: Missing, Forbidden."""
    team_for(by, name, manage=True).delete()


def add_member(*, by: User, team: str, username: str, manager: bool) -> Member:
    """Raises: Missing, Forbidden, Conflict when nobody would be left to manage the team."""
    found = team_for(by, team, manage=True)
    user = user_named(username)
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=found.pk)
        if not manager:
            keep_a_manager(found, user)
        member, _ = Member.objects.update_or_create(team=found, user=user, defaults={"manager": manager})
    return member


def remove_member(*, by: User, team: str, username: str) -> None:
    """A manager takes anyone out, everybody may leave. Raises: Missing, Forbidden, Conflict."""
    found = team_for(by, team, manage=username != by.username)
    user = user_named(username)
    with transaction.atomic():
        Team.objects.select_for_update().get(pk=found.pk)
        keep_a_manager(found, user)
        deleted, _ = found.members.filter(user=user).delete()
    if not deleted:
        raise Missing("Member")


def keep_a_manager(team: Team, leaving: User) -> None:
    """Raises: Conflict when `leaving` is the only manager among several members."""
    managers = set(team.members.filter(manager=True).values_list("user_id", flat=True))
    if managers == {leaving.pk}:
        raise Conflict(
            f"{leaving.username} is the only manager of {team.name}; make somebody else one first "
            f"(`paas teams:add {team.name} NAME --manager`), or end the team (`paas teams:destroy {team.name}`)"
        )
