"""`/v2/apps/APP/build-runs/`: every build and what became of it; `/v2/apps/APP/build-settings/`."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import DEVELOP, READ
from controller.actions import build_runs, git_sources
from controller.actions.build_settings import build_settings, change_build_settings
from controller.api.scoping import AppView, Strict
from controller.api.shapes import Page


class BuildRunSerializer(serializers.Serializer):
    uuid = serializers.UUIDField()
    number = serializers.IntegerField()
    app = serializers.CharField(source="app.name")
    by = serializers.CharField(source="by.username", default=None)
    source = serializers.CharField()
    origin = serializers.CharField()
    ref = serializers.CharField()
    sha = serializers.CharField()
    state = serializers.CharField()
    created = serializers.DateTimeField()
    started = serializers.DateTimeField(allow_null=True)
    ended = serializers.DateTimeField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)
    cause = serializers.CharField()
    hint = serializers.CharField()
    build = serializers.UUIDField(source="build_id", allow_null=True)
    image = serializers.CharField(source="build.image", default=None)
    release = serializers.IntegerField(allow_null=True)


class NewBuildRunSerializer(Strict):
    ref = serializers.CharField(max_length=255, required=False, allow_blank=True)


class BuildSettingsChange(Strict):
    root = serializers.CharField(max_length=1000, required=False, allow_null=True, allow_blank=True)
    paths = serializers.ListField(child=serializers.CharField(max_length=1000), required=False, allow_null=True)
    submodules = serializers.BooleanField(required=False, allow_null=True)


BUILD_SETTINGS = {"root": str, "paths": list[str], "submodules": bool}


class BuildRunsView(AppView):
    takes = {"POST": NewBuildRunSerializer}
    gives = {"GET": Page(BuildRunSerializer), "POST": (201, BuildRunSerializer)}
    rights = {"GET": READ, "HEAD": READ, "POST": DEVELOP}

    def get(self, request, **kwargs):
        return self.page(self.app.build_runs.select_related("app", "by", "build"), BuildRunSerializer)

    def post(self, request, **kwargs):
        """A build of the connected git host's branch, or of another ref there; the builder takes it up."""
        ref = self.parsed(NewBuildRunSerializer).get("ref", "")
        run = git_sources.queue_build(app=self.app, ref=ref, by=request.user)
        return Response(BuildRunSerializer(run).data, status=201)


class OneBuildRunView(AppView):
    gives = {"GET": BuildRunSerializer}
    rights = {"GET": READ, "HEAD": READ, "POST": DEVELOP}

    def get(self, request, **kwargs):
        return Response(BuildRunSerializer(build_runs.run_of(self.app, int(kwargs["number"]))).data)


class CancelBuildRunView(AppView):
    """Calls off a run that waits; one that is being built is stopped by the builder (`/builder/…/cancel`)."""

    gives = {"POST": BuildRunSerializer}

    rights = {"POST": DEVELOP}

    def post(self, request, **kwargs):
        number = int(kwargs["number"])
        build_runs.cancel(build_runs.run_of(self.app, number))
        return Response(BuildRunSerializer(build_runs.run_of(self.app, number)).data)


class BuildSettingsView(AppView):
    takes = {"POST": BuildSettingsChange}
    gives = {"GET": BUILD_SETTINGS, "POST": (201, BUILD_SETTINGS)}
    rights = {"GET": READ, "HEAD": READ, "POST": DEVELOP}

    def get(self, request, **kwargs):
        return Response(build_settings(self.app))

    def post(self, request, **kwargs):
        changes = dict(self.parsed(BuildSettingsChange))
        return Response(change_build_settings(app=self.app, changes=changes, by=request.user), status=201)
