"""`/v2/apps/APP/builds/`."""

from rest_framework import serializers
from rest_framework.response import Response

from controller import app_json
from controller.access import DEVELOP, READ
from controller.actions import build_runs
from controller.actions.build import checked_image, create_build
from controller.api.scoping import IDENTITY, AppView, Strict
from controller.api.shapes import Page
from controller.api.waiting import await_end
from controller.config_fields import TYPE, TYPE_TEXT
from controller.errors import Missing
from controller.peer import client_address

LONGEST_TYPE = 40  # characters: `<app>-<type>` and what Kubernetes adds must fit a name


class BuildSerializer(serializers.Serializer):
    uuid = serializers.UUIDField()
    app = serializers.CharField(source="app.name")
    owner = serializers.CharField(source="owner.username")
    image = serializers.CharField()
    stack = serializers.CharField()
    sha = serializers.CharField()
    procfile = serializers.JSONField()
    dockerfile = serializers.CharField()
    created = serializers.DateTimeField()
    updated = serializers.DateTimeField()


class ProcfileField(serializers.Field):
    """Process types and their commands."""

    def to_internal_value(self, data):
        if not isinstance(data, dict):
            raise serializers.ValidationError(f'Expected a dictionary of items but got type "{type(data).__name__}".')
        for kind, command in data.items():
            if not TYPE.fullmatch(kind) or len(kind) > LONGEST_TYPE:
                raise serializers.ValidationError(TYPE_TEXT)
            if command is None or (isinstance(command, str) and not command.strip()):
                raise serializers.ValidationError("Command can't be empty for process type")
            if not isinstance(command, str):
                raise serializers.ValidationError(f"The command of {kind} must be text")
        return data

    def to_representation(self, value):
        return value


class AppJsonField(serializers.Field):
    """The object in an app's app.json, kept as it is once it is known to be readable."""

    def to_internal_value(self, data):
        app_json.read(data)
        return data

    def to_representation(self, value):
        return value


class BuildFields(Strict):
    """What describes an image, whoever brings it."""

    image = serializers.CharField(max_length=2048)
    procfile = ProcfileField(required=False, allow_null=True)
    sha = serializers.RegexField(
        r"^[0-9a-zA-Z._-]*$",
        max_length=64,
        required=False,
        allow_blank=True,
        allow_null=True,
        error_messages={"invalid": "A commit's name has letters, digits, dots, hyphens and _ only."},
    )
    dockerfile = serializers.CharField(
        max_length=512 * 1024, required=False, allow_blank=True, allow_null=True, trim_whitespace=False
    )
    stack = serializers.CharField(max_length=100, required=False, allow_blank=True, allow_null=True)
    git_ref = serializers.CharField(max_length=255, required=False, allow_blank=True, allow_null=True)
    ports = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=65535), required=False, allow_null=True, max_length=100
    )
    app_json = AppJsonField(required=False, allow_null=True)

    def validate_image(self, value):
        return checked_image(value)

    def to_internal_value(self, data):
        parsed = super().to_internal_value(data)
        return {name: value for name, value in parsed.items() if value is not None}


class NewBuildSerializer(BuildFields):
    ignored = IDENTITY


class BuildsView(AppView):
    takes = {"POST": NewBuildSerializer}
    gives = {"GET": Page(BuildSerializer), "POST": (201, BuildSerializer)}
    rights = {"GET": READ, "HEAD": READ, "POST": DEVELOP}

    def get(self, request, **kwargs):
        return self.page(self.app.builds.select_related("app", "owner"), BuildSerializer)

    def post(self, request, **kwargs):
        fields = self.parsed(NewBuildSerializer)
        address = client_address(request)
        run = build_runs.begin(app=self.app, by=request.user, source="image", origin=address, ref=fields["image"][:255])
        with build_runs.recorded(run):
            build, operation = create_build(app=self.app, by=request.user, **fields)
            build_runs.released(run, build, operation.release)
            await_end(request, operation)
        return Response(BuildSerializer(build).data, status=201)


class OneBuildView(AppView):
    gives = {"GET": BuildSerializer}

    def get(self, request, **kwargs):
        build = self.app.builds.select_related("app", "owner").filter(pk=kwargs["uuid"]).first()
        if build is None:
            raise Missing("Build")
        return Response(BuildSerializer(build).data)
