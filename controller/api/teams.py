"""`/v2/teams/`: people who are given roles together."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.actions import teams as actions
from controller.api.scoping import Strict, View
from controller.api.shapes import Page


class TeamSerializer(serializers.Serializer):
    name = serializers.CharField()
    members = serializers.IntegerField(source="member_count")
    created = serializers.DateTimeField()


class NewTeam(Strict):
    name = serializers.RegexField(
        r"^[a-z][a-z0-9-]*$",
        max_length=63,
        error_messages={"invalid": "A team's name has a-z (lowercase), 0-9 and hyphens, and begins with a letter."},
    )


class NewMember(Strict):
    username = serializers.CharField(max_length=150)
    manager = serializers.BooleanField(default=False)


MEMBER = {"username": str, "manager": bool}
TEAM = {"name": str, "created": str, "members": [MEMBER], "apps": [{"app": str, "role": str}]}


class TeamsView(View):
    takes = {"POST": NewTeam}
    gives = {"GET": Page(TeamSerializer), "POST": (201, TEAM)}

    def get(self, request):
        return self.page(actions.visible_teams(request.user), TeamSerializer)

    def post(self, request):
        team = actions.create_team(by=request.user, name=self.parsed(NewTeam)["name"])
        return Response(described(team), status=201)


class OneTeamView(View):
    gives = {"GET": TEAM, "DELETE": 204}

    def get(self, request, team):
        return Response(described(actions.team_for(request.user, team)))

    def delete(self, request, team):
        actions.destroy_team(by=request.user, name=team)
        return Response(status=204)


class MembersView(View):
    takes = {"POST": NewMember}
    gives = {"POST": (201, MEMBER)}

    def post(self, request, team):
        parsed = self.parsed(NewMember)
        member = actions.add_member(by=request.user, team=team, **parsed)
        return Response({"username": member.user.username, "manager": member.manager}, status=201)


class OneMemberView(View):
    gives = {"DELETE": 204}

    def delete(self, request, team, username):
        actions.remove_member(by=request.user, team=team, username=username)
        return Response(status=204)


def described(team) -> dict:
    """A team with its members, and the apps it has a role on."""
    members = team.members.order_by("user__username").values_list("user__username", "manager")
    apps = team.accesses.order_by("app__name").values_list("app__name", "role")
    return {
        "name": team.name,
        "created": team.created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "members": [{"username": name, "manager": manager} for name, manager in members],
        "apps": [{"app": app, "role": role} for app, role in apps],
    }
