"""`/v2/apps/APP/releases/`."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import DEVELOP
from controller.actions import operations
from controller.actions.release import roll_back
from controller.api.scoping import AppView, Strict
from controller.errors import Missing


class ReleaseSerializer(serializers.Serializer):
    uuid = serializers.UUIDField()
    app = serializers.CharField(source="app.name")
    owner = serializers.CharField(source="owner.username")
    created = serializers.DateTimeField()
    updated = serializers.DateTimeField()
    version = serializers.IntegerField()
    summary = serializers.CharField()
    failed = serializers.BooleanField()
    exception = serializers.CharField(allow_null=True)
    config = serializers.UUIDField(source="config_id")
    build = serializers.UUIDField(source="build_id", allow_null=True)


class RollbackSerializer(Strict):
    version = serializers.IntegerField(required=False, allow_null=True, min_value=-(2**31), max_value=2**31 - 1)


class ReleasesView(AppView):
    def get(self, request, **kwargs):
        return self.page(self.app.releases.select_related("app", "owner"), ReleaseSerializer)


class OneReleaseView(AppView):
    def get(self, request, **kwargs):
        rows = self.app.releases.select_related("app", "owner")
        release = rows.filter(version=int(kwargs["version"][:9])).first()
        if release is None:
            raise Missing("Release")
        return Response(ReleaseSerializer(release).data)


class RollbackView(AppView):
    rights = {"POST": DEVELOP}

    def post(self, request, **kwargs):
        version = self.parsed(RollbackSerializer).get("version")
        release, operation = roll_back(app=self.app, version=version, by=request.user)
        if operation is not None:
            operations.wait(operation)
        return Response({"version": release.version}, status=201)
