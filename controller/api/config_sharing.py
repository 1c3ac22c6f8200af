"""`/v2/config-groups/`, and an app's groups and links: config that apps share."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import CONFIGURE
from controller.actions import config_sharing as actions
from controller.actions.config_secrets import masked
from controller.api.scoping import AppView, Strict, View
from controller.api.sections import Section
from controller.api.shapes import Also, Page
from controller.config_fields import Refused, check_value

NAME = r"^[a-z][a-z0-9-]*$"


class NewGroup(Strict):
    name = serializers.RegexField(
        NAME,
        max_length=63,
        error_messages={"invalid": "A group's name has a-z (lowercase), 0-9 and hyphens, and begins with a letter."},
    )
    team = serializers.CharField(max_length=63, required=False)


class GroupChange(Strict):
    values = Section(check_value)
    secrets = serializers.ListField(child=serializers.CharField(max_length=253), required=False)


class GroupName(Strict):
    group = serializers.CharField(max_length=63)


class NewLink(Strict):
    key = serializers.CharField(max_length=253)
    source = serializers.CharField(max_length=63)
    source_key = serializers.CharField(max_length=253)

    def validate_key(self, value):
        try:
            check_value(value, None)
        except Refused as exc:
            raise serializers.ValidationError(str(exc)) from exc
        return value


class GroupSerializer(serializers.Serializer):
    name = serializers.CharField()
    owner = serializers.CharField(source="owner.username")
    team = serializers.CharField(source="team.name", default=None)
    created = serializers.DateTimeField()
    updated = serializers.DateTimeField()


def described(group) -> dict:
    """A group with its variables, masked where they are write-only, and the apps that have it."""
    return {
        **GroupSerializer(group).data,
        "values": masked(group.values, group.secret_keys),
        "secrets": group.secret_keys,
        "apps": sorted(group.attachments.values_list("app__name", flat=True)),
    }


class GroupView(View):
    scopes = {"POST": "config", "DELETE": "config", "GET": "config", "HEAD": "config"}


GROUP = Also(GroupSerializer, values=dict[str, str], secrets=list[str], apps=list[str])
LINK = {"key": str, "source": str, "source_key": str}


class GroupsView(GroupView):
    takes = {"POST": NewGroup}
    gives = {"GET": Page(GroupSerializer), "POST": (201, GROUP)}

    def get(self, request):
        return self.page(actions.visible_groups(request.user), GroupSerializer)

    def post(self, request):
        return Response(described(actions.create_group(by=request.user, **self.parsed(NewGroup))), status=201)


class OneGroupView(GroupView):
    takes = {"POST": GroupChange}
    gives = {"GET": GROUP, "POST": (201, GROUP), "DELETE": 204}

    def get(self, request, group):
        return Response(described(actions.group_for(request.user, group)))

    def post(self, request, group):
        parsed = self.parsed(GroupChange)
        changed = actions.change_group(
            by=request.user, name=group, values=parsed.get("values") or {}, secrets=parsed.get("secrets", ())
        )
        return Response(described(changed), status=201)

    def delete(self, request, group):
        actions.destroy_group(by=request.user, name=group)
        return Response(status=204)


class AppConfigView(AppView):
    rights = {"GET": CONFIGURE, "HEAD": CONFIGURE, "POST": CONFIGURE, "DELETE": CONFIGURE}


class AppGroupsView(AppConfigView):
    takes = {"POST": GroupName}
    gives = {"GET": {"groups": list[str]}, "POST": 201}

    def get(self, request, **kwargs):
        return Response({"groups": list(self.app.config_groups.values_list("group__name", flat=True))})

    def post(self, request, **kwargs):
        actions.attach_group(app=self.app, by=request.user, name=self.parsed(GroupName)["group"])
        return Response(status=201)


class OneAppGroupView(AppConfigView):
    gives = {"DELETE": 204}

    def delete(self, request, **kwargs):
        actions.detach_group(app=self.app, by=request.user, name=kwargs["group"])
        return Response(status=204)


class AppLinksView(AppConfigView):
    takes = {"POST": NewLink}
    gives = {"GET": {"links": [LINK]}, "POST": (201, LINK)}

    def get(self, request, **kwargs):
        rows = self.app.config_links.values_list("key", "source_name", "source_key")
        return Response({"links": [{"key": key, "source": app, "source_key": of} for key, app, of in rows]})

    def post(self, request, **kwargs):
        row = actions.link(app=self.app, by=request.user, **self.parsed(NewLink))
        return Response({"key": row.key, "source": row.source_name, "source_key": row.source_key}, status=201)


class OneAppLinkView(AppConfigView):
    gives = {"DELETE": 204}

    def delete(self, request, **kwargs):
        actions.unlink(app=self.app, by=request.user, key=kwargs["key"])
        return Response(status=204)
