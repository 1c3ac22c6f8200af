"""`/v2/apps/APP/releases/`."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import CONFIGURE, DEVELOP
from controller.actions.outputs import output_of
from controller.actions.release import CODE, CONFIG, roll_back
from controller.actions.release_diff import diff_releases
from controller.actions.release_states import states_of
from controller.api.scoping import AppView, Strict
from controller.api.shapes import Page, counted
from controller.api.waiting import await_end
from controller.errors import Missing
from controller.models import Release


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


class DetailedSerializer(ReleaseSerializer):
    """What Deis doesn't tell: asked for by `?detail=true`. The states come in the serializer's context."""

    state = serializers.SerializerMethodField()
    cause = serializers.CharField()
    reason = serializers.SerializerMethodField()
    sha = serializers.CharField(source="build.sha", default="")
    image = serializers.CharField(source="build.image", default="")
    structure = serializers.JSONField()

    def get_state(self, release) -> str:
        return self.context["states"][release.version]

    def get_reason(self, release) -> str:
        return (release.exception or "").removeprefix("error: ")


class RollbackSerializer(Strict):
    version = serializers.IntegerField(required=False, allow_null=True, min_value=-(2**31), max_value=2**31 - 1)
    only = serializers.ChoiceField((CODE, CONFIG), required=False, allow_null=True)


class OutputLineSerializer(serializers.Serializer):
    time = serializers.DateTimeField()
    source = serializers.CharField()
    text = serializers.CharField()


class ReleaseView(AppView):
    """A view of releases that are named in the address."""

    def release(self, name: str = "version") -> Release:
        """Raises: Missing."""
        rows = self.app.releases.select_related("app", "owner", "build", "config")
        found = rows.filter(version=int(self.kwargs[name][:9])).first()
        if found is None:
            raise Missing("Release")
        return found

    @property
    def detailed(self) -> bool:
        return self.request.query_params.get("detail", "").lower() in ("true", "1")


DETAIL = {"detail": "true for state, cause, reason, commit, image and formation as well"}
CHANGE = {"name": str, "change": str, "before": object, "after": object}
DIFF = {"code": [CHANGE], "procfile": [CHANGE], "config": [{"section": str, **CHANGE}], "formation": [CHANGE]}


class ReleasesView(ReleaseView):
    asks = {"GET": DETAIL}
    gives = {"GET": Page(ReleaseSerializer)}

    def get(self, request, **kwargs):
        rows = self.app.releases.select_related("app", "owner")
        if not self.detailed:
            return self.page(rows, ReleaseSerializer)
        paginator = self.settings.DEFAULT_PAGINATION_CLASS()
        chosen = paginator.paginate_queryset(rows.select_related("build"), request, view=self)
        context = {"states": states_of(self.app, chosen)}
        return paginator.get_paginated_response(DetailedSerializer(chosen, many=True, context=context).data)


class OneReleaseView(ReleaseView):
    asks = {"GET": DETAIL}
    gives = {"GET": ReleaseSerializer}

    def get(self, request, **kwargs):
        release = self.release()
        if self.detailed:
            return Response(DetailedSerializer(release, context={"states": states_of(self.app, [release])}).data)
        return Response(ReleaseSerializer(release).data)


class DiffView(ReleaseView):
    """For whoever may read config: values are hidden, but not which there are."""

    gives = {"GET": {"from": int, "to": int, **DIFF}}

    rights = {"GET": CONFIGURE, "HEAD": CONFIGURE}

    def get(self, request, **kwargs):
        old, new = self.release(), self.release("other")
        return Response({"from": old.version, "to": new.version, **diff_releases(old, new)})


class OutputView(ReleaseView):
    """What was said while the release went live, and since."""

    gives = {"GET": {"version": int, "state": str, **counted(OutputLineSerializer)}}

    def get(self, request, **kwargs):
        release = self.release()
        lines = OutputLineSerializer(output_of(release), many=True).data
        state = states_of(self.app, [release])[release.version]
        return Response({"version": release.version, "state": state, "results": lines, "count": len(lines)})


class RollbackView(AppView):
    takes = {"POST": RollbackSerializer}
    gives = {"POST": (201, {"version": int})}
    rights = {"POST": DEVELOP}

    def post(self, request, **kwargs):
        parsed = self.parsed(RollbackSerializer)
        release, operation = roll_back(
            app=self.app, version=parsed.get("version"), by=request.user, only=parsed.get("only") or ""
        )
        await_end(request, operation)
        return Response({"version": release.version}, status=201)
