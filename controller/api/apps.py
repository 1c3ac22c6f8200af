"""`/v2/apps/` and an app itself: made, shown, handed over, scaled, run in, ended."""

import re

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.response import Response

from controller.access import DEVELOP, OPERATE, OWN, READ, visible_apps
from controller.actions import app as actions
from controller.actions.one_offs import run
from controller.actions.operations import OperationFailed
from controller.api.scoping import IDENTITY, AppView, Strict, View
from controller.api.shapes import Page
from controller.api.upgrades import has_hung_up
from controller.api.waiting import await_end
from controller.config_fields import TYPE
from controller.errors import BadRequest, ClusterTrouble

NAME = re.compile(r"^[a-z]([a-z0-9-]*[a-z0-9])?$")
NAME_TEXT = (
    "App name must start with an alphabetic character, cannot end with a hyphen and can only contain "
    "a-z (lowercase), 0-9 and hyphens."
)
MOST_PROCESSES = 10_000


class AppSerializer(serializers.Serializer):
    uuid = serializers.UUIDField()
    id = serializers.CharField(source="name")
    owner = serializers.CharField(source="owner.username")
    structure = serializers.JSONField()
    procfile_structure = serializers.JSONField()
    created = serializers.DateTimeField()
    updated = serializers.DateTimeField()


class NewAppSerializer(Strict):
    ignored = (*IDENTITY, "procfile_structure")

    id = serializers.CharField(max_length=63, required=False, allow_null=True)
    structure = serializers.DictField(
        child=serializers.IntegerField(min_value=0, max_value=MOST_PROCESSES), required=False, allow_null=True
    )

    def validate_id(self, value):
        if value is not None and not NAME.fullmatch(value):
            raise serializers.ValidationError(NAME_TEXT)
        return value


class TransferSerializer(Strict):
    ignored = ("uuid", "id", "app", "structure", "procfile_structure", "created", "updated")

    owner = serializers.CharField(required=False)


class RunSerializer(Strict):
    command = serializers.CharField(required=False, allow_blank=True, max_length=64 * 1024)


class AppsView(View):
    takes = {"POST": NewAppSerializer}
    gives = {"GET": Page(AppSerializer), "POST": (201, AppSerializer)}
    open_to_app_tokens = True

    def get(self, request):
        return self.page(visible_apps(request.user), AppSerializer)

    def post(self, request):
        parsed = self.parsed(NewAppSerializer)
        app = actions.create_app(by=request.user, name=parsed.get("id"), structure=parsed.get("structure"))
        return Response(AppSerializer(app).data, status=201)


class OneAppView(AppView):
    takes = {"POST": TransferSerializer}
    gives = {"GET": AppSerializer, "POST": 200, "DELETE": 204}
    rights = {"GET": READ, "HEAD": READ, "POST": DEVELOP, "DELETE": OWN}

    def get(self, request, **kwargs):
        return Response(AppSerializer(self.app).data)

    def post(self, request, **kwargs):
        owner = self.parsed(TransferSerializer).get("owner")
        if owner is not None:
            self.rights = {**self.rights, "POST": OWN}
            del self.app
            actions.transfer_app(app=self.app, to=owner)
        return HttpResponse(status=200)

    def delete(self, request, **kwargs):
        actions.destroy_app(app=self.app, by=request.user)
        return Response(status=204)


class ScaleView(AppView):
    takes = {"POST": dict[str, int | str]}
    gives = {"POST": 204}
    rights = {"POST": DEVELOP}

    def post(self, request, **kwargs):
        counts = parse_counts(request.data)
        operation = actions.scale_app(app=self.app, counts=counts, by=request.user)
        if operation is not None:
            try:
                await_end(request, operation)
            except OperationFailed as exc:
                text = str(exc)
                raise ClusterTrouble(text if text.startswith("(scale)") else f"(scale): {text}") from exc
        return Response(status=204)


def parse_counts(data) -> dict[str, int]:
    """`{"web": 2, "worker": "0"}` as numbers. Raises: BadRequest."""
    if not isinstance(data, dict):
        raise BadRequest("Invalid scaling format: expected an object of process types and counts")
    counts = {}
    for kind, value in data.items():
        if not isinstance(kind, str) or not TYPE.fullmatch(kind):
            raise BadRequest(f"Invalid scaling format: {kind!r} is no process type")
        text = str(value)
        text = text.lstrip("0") or text[:1]
        if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or int(text[:9]) > MOST_PROCESSES:
            raise BadRequest(f"Invalid scaling format: {kind} must be a number from 0 to {MOST_PROCESSES}")
        counts[kind] = int(text)
    return counts


class RunView(AppView):
    takes = {"POST": RunSerializer}
    gives = {"POST": {"exit_code": int, "output": str}}
    rights = {"POST": OPERATE}

    def post(self, request, **kwargs):
        command = self.parsed(RunSerializer).get("command", "").strip()
        if not command:
            raise BadRequest("command is a required field")
        code, output = run(app=self.app, command=command, by=request.user, gone=lambda: has_hung_up(request))
        return Response({"exit_code": code, "output": output})
