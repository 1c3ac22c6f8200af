"""Teams: people who are given roles on apps together."""

from django.conf import settings
from django.db import models

from controller.models.base import Dated
from controller.models.roles import DEVELOPER


class Team(Dated):
    name = models.CharField(max_length=63, unique=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    """A person of a team; a manager adds and removes others."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    manager = models.BooleanField(default=False)

    class Meta:
        ordering = ("user__username",)
        constraints = (models.UniqueConstraint(fields=("team", "user"), name="one_membership_per_person"),)


class TeamAccess(models.Model):
    """The role that every member of a team has on an app."""

    app = models.ForeignKey("App", on_delete=models.CASCADE, related_name="teams")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="accesses")
    role = models.CharField(max_length=20, default=DEVELOPER)

    class Meta:
        ordering = ("team__name",)
        constraints = (models.UniqueConstraint(fields=("app", "team"), name="one_role_per_team"),)
