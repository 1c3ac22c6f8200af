"""`/v2/pipelines/` and `/v2/apps/APP/promote/`."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import READ
from controller.actions import operations
from controller.actions import pipelines as actions
from controller.actions.promotion import Promotion, promote
from controller.actions.release_diff import diff_releases
from controller.api.releases import DIFF
from controller.api.scoping import AppView, Strict, View
from controller.api.shapes import Also, Page
from controller.api.waiting import is_waiting
from controller.errors import BadRequest, PaasError

NAME = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
NAME_TEXT = {"invalid": "It has a-z (lowercase), 0-9 and hyphens, and begins and ends with a letter or digit."}


def name_field(**options) -> serializers.RegexField:
    return serializers.RegexField(NAME, max_length=63, error_messages=NAME_TEXT, **options)


class PipelineSerializer(serializers.Serializer):
    name = serializers.CharField()
    owner = serializers.CharField(source="owner.username")
    created = serializers.DateTimeField()
    stages = serializers.JSONField()


class NewPipeline(Strict):
    name = name_field()
    stages = serializers.ListField(child=name_field(), required=False, allow_null=True, min_length=1, max_length=20)


class NewPlace(Strict):
    app = serializers.CharField(max_length=63)
    stage = serializers.CharField(max_length=63)


class PromotionSerializer(Strict):
    to = serializers.ListField(
        child=serializers.CharField(max_length=63), required=False, allow_null=True, allow_empty=False, max_length=100
    )
    version = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=2**31 - 1)


class PipelineView(View):
    scopes = {"GET": "read", "HEAD": "read", "POST": "deploy", "DELETE": "deploy"}


STAGED = {"app": str, "version": int | None, "sha": str, "image": str}
SIDE = {"app": str, "version": int}
PROMOTED = {"app": str, "version": int | None, "state": str, "reason": str}


class PipelinesView(PipelineView):
    takes = {"POST": NewPipeline}
    gives = {"GET": Page(PipelineSerializer), "POST": (201, PipelineSerializer)}

    def get(self, request):
        return self.page(actions.visible_pipelines(request.user), PipelineSerializer)

    def post(self, request):
        pipeline = actions.create_pipeline(by=request.user, **{"stages": None, **self.parsed(NewPipeline)})
        return Response(PipelineSerializer(pipeline).data, status=201)


class OnePipelineView(PipelineView):
    gives = {"GET": Also(PipelineSerializer, stages=[{"name": str, "apps": [STAGED]}]), "DELETE": 204}

    def get(self, request, name):
        pipeline = actions.pipeline_for(request.user, name)
        return Response({**PipelineSerializer(pipeline).data, "stages": actions.stages_of(pipeline, request.user)})

    def delete(self, request, name):
        actions.destroy_pipeline(by=request.user, name=name)
        return Response(status=204)


class PlacesView(PipelineView):
    takes = {"POST": NewPlace}
    gives = {"POST": (201, {"app": str, "stage": str, "pipeline": str})}

    def post(self, request, name):
        place = actions.add_app(by=request.user, name=name, **self.parsed(NewPlace))
        return Response({"app": place.app.name, "stage": place.stage, "pipeline": name}, status=201)


class OnePlaceView(PipelineView):
    gives = {"DELETE": 204}

    def delete(self, request, name, app):
        actions.remove_app(by=request.user, name=name, app=app)
        return Response(status=204)


class StagesDiffView(PipelineView):
    """What differs between what runs in two stages, or two apps, of a pipeline."""

    asks = {"GET": {"from": "a stage or an app", "to": "a stage or an app"}}
    gives = {"GET": {"from": SIDE, "to": SIDE, **DIFF}}

    def get(self, request, name):
        pipeline = actions.pipeline_for(request.user, name)
        sides = []
        for side in ("from", "to"):
            wished = request.query_params.get(side, "")
            if not wished:
                raise BadRequest(f"{side} is missing: name a stage or an app, such as ?from=staging&to=production")
            app = actions.app_in(pipeline, request.user, wished)
            sides.append((app.name, app.current_release()))
        (old_app, old), (new_app, new) = sides
        ends = {
            "from": {"app": old_app, "version": old.version},
            "to": {"app": new_app, "version": new.version},
        }
        return Response({**ends, **diff_releases(old, new)})


class PromoteView(AppView):
    """The app in the address is read; each target has its own door."""

    takes = {"POST": PromotionSerializer}
    gives = {"POST": (201, {"app": str, "version": int, "results": [PROMOTED]})}

    rights = {"POST": READ}

    def post(self, request, **kwargs):
        parsed = self.parsed(PromotionSerializer)
        release, begun = promote(app=self.app, to=parsed.get("to"), version=parsed.get("version"), by=request.user)
        results = [outcome(promotion, wait=is_waiting(request)) for promotion in begun]
        return Response({"app": self.app.name, "version": release.version, "results": results}, status=201)


def outcome(promotion: Promotion, *, wait: bool) -> dict:
    """`state` is live, pending (when nobody waits) or failed, with the reason."""
    version = promotion.operation.release.version if promotion.operation else None
    reason, state = promotion.reason, "failed" if promotion.operation is None else "pending"
    if promotion.operation is not None and wait:
        try:
            operations.wait(promotion.operation)
            state = "live"
        except PaasError as exc:
            state, reason = "failed", str(exc)
    return {"app": promotion.app, "version": version, "state": state, "reason": reason}
