"""`/v2/apps/APP/access/`: the roles of people and teams on an app."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import OWN, READ, level_of
from controller.actions import perms as actions
from controller.api.scoping import AppView, Strict
from controller.errors import Invalid
from controller.models import App
from controller.models.roles import LEVELS, ROLES


class NewRole(Strict):
    username = serializers.CharField(max_length=150, required=False)
    team = serializers.CharField(max_length=63, required=False)
    role = serializers.ChoiceField(
        ROLES, error_messages={"invalid_choice": f"{{input}} is no role; the roles are {', '.join(ROLES)}."}
    )


TEAM_ROLE = {"team": str, "role": str}
Given = dict[str, str]


class AccessView(AppView):
    takes = {"POST": NewRole}
    gives = {
        "GET": {"owner": str, "users": [{"username": str, "role": str}], "teams": [TEAM_ROLE], "mine": str | None},
        "POST": {201: Given},
    }
    rights = {"GET": READ, "HEAD": READ, "POST": OWN}

    def get(self, request, **kwargs):
        level = level_of(request.user, self.app)
        mine = next((role for role in reversed(ROLES) if LEVELS[role] <= level), None)
        return Response({**described(self.app), "mine": mine})

    def post(self, request, **kwargs):
        parsed = self.parsed(NewRole)
        if ("username" in parsed) == ("team" in parsed):
            raise Invalid(username="Say who gets the role: either username or team.")
        if "team" in parsed:
            entry = actions.give_team_role(app=self.app, by=request.user, team=parsed["team"], role=parsed["role"])
            return Response({"team": parsed["team"], "role": entry.role}, status=201)
        entry = actions.give_role(app=self.app, username=parsed["username"], role=parsed["role"])
        return Response({"username": parsed["username"], "role": entry.role}, status=201)


class OneUserAccessView(AppView):
    """Whoever was given a role may give it up; taking it from others is for owners."""

    gives = {"DELETE": 204}

    rights = {"DELETE": OWN}

    def initial(self, request, *args, **kwargs):
        if kwargs["username"] == getattr(request.user, "username", None):
            self.rights = {"DELETE": READ}
        super().initial(request, *args, **kwargs)

    def delete(self, request, **kwargs):
        actions.revoke(app=self.app, username=kwargs["username"])
        return Response(status=204)


class OneTeamAccessView(AppView):
    gives = {"DELETE": 204}
    rights = {"DELETE": OWN}

    def delete(self, request, **kwargs):
        actions.take_team_role(app=self.app, team=kwargs["team"])
        return Response(status=204)


def described(app: App) -> dict:
    people = app.collaborators.order_by("user__username").values_list("user__username", "role")
    teams = app.teams.order_by("team__name").values_list("team__name", "role")
    return {
        "owner": app.owner.username,
        "users": [{"username": name, "role": role} for name, role in people],
        "teams": [{"team": name, "role": role} for name, role in teams],
    }
