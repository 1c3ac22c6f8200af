"""`/v2/hooks/…`: what the builder asks and reports."""

import json
from collections.abc import Iterator

from django.http import StreamingHttpResponse
from rest_framework import serializers
from rest_framework.response import Response

from controller.access import DEVELOP, app_for, people_of
from controller.actions import audit, build_runs, operations
from controller.actions.auth import user_named
from controller.actions.build import create_build
from controller.api.authentication import FromBuilder
from controller.api.builds import BuildFields
from controller.api.config import ConfigSerializer
from controller.api.scoping import Strict, View
from controller.errors import Missing, NotFound, PaasError
from controller.models import App, BuildRun, Config, Key, Operation, OutputLine, Release

STREAM = "application/x-ndjson"


class HookView(View):
    """The audit trail tells of it under the name of whoever pushes: see BuildHook."""

    deeds = ()
    permission_classes = (FromBuilder,)


class Received(Strict):
    receive_user = serializers.CharField()
    receive_repo = serializers.CharField()


class ReceivedBuild(BuildFields):
    ignored = ("receive_fingerprint", "receive_key")

    run = serializers.UUIDField(required=False)
    receive_user = serializers.CharField()
    receive_repo = serializers.CharField()
    receive_address = serializers.CharField(required=False, allow_null=True, max_length=64)


class KeyHook(HookView):
    gives = {"GET": {"username": str, "apps": list[str], "uuids": dict[str, str]}}

    def get(self, request, fingerprint):
        key = Key.objects.select_related("owner").filter(fingerprint=fingerprint).first()
        if key is None:
            raise Missing("Key")
        uuids = {name: str(uuid) for name, uuid in App.objects.order_by("name").values_list("name", "uuid")}
        return Response({"username": key.owner.username, "apps": list(uuids), "uuids": uuids})


def described(keys) -> list[dict[str, str]]:
    return [{"key": key.public, "fingerprint": key.fingerprint} for key in keys]


class AppKeysHook(HookView):
    """The keys of everyone who may push to an app, owner included."""

    gives = {"GET": dict[str, list[dict[str, str]]]}

    def get(self, request, app):
        row = App.objects.filter(name=app).first()
        if row is None:
            raise Missing("App")
        users = people_of(row, DEVELOP).prefetch_related("keys").order_by("username")
        return Response({user.username: described(user.keys.all()) for user in users})


class UserKeysHook(HookView):
    gives = {"GET": dict[str, list[dict[str, str]]]}

    def get(self, request, app, username):
        user = user_named(username)
        app_for(user, app, DEVELOP)
        keys = list(user.keys.all())
        if not keys:
            raise NotFound(f"No Keys match for user {username}.")
        return Response({username: described(keys)})


class ConfigHook(HookView):
    takes = {"POST": Received}
    gives = {"POST": ConfigSerializer}

    def post(self, request):
        parsed = self.parsed(Received)
        app = app_for(user_named(parsed["receive_user"]), parsed["receive_repo"], DEVELOP)
        config = app.current_release().config
        shown = {**ConfigSerializer(config).data, "values": build_values(config)}
        return Response({**shown, "secrets": sorted(config.hidden_keys())})


def build_values(config: Config) -> dict[str, str]:
    """What a build gets: what processes get, less what must not stay in an image that keeps its build arguments."""
    values = config.environment()
    if not values.get("DEIS_DOCKER_BUILD_ARGS_ENABLED"):
        return values
    hidden = config.hidden_keys()
    return {key: value for key, value in values.items() if key not in hidden}


class BuildHook(HookView):
    """A finished build; answers when it is live, or why it isn't.

    With `Accept: application/x-ndjson` it tells how far it is on the way.
    """

    takes = {"POST": ReceivedBuild}
    gives = {"POST": {"release": {"version": int}}}

    def post(self, request):
        parsed = self.parsed(ReceivedBuild)
        user = user_named(parsed.pop("receive_user"))
        self.entry = audit.begin(
            actor=user.username,
            via="git push",
            address=parsed.pop("receive_address", None) or origin_of(parsed.get("run")),
            action="POST /v2/hooks/build/",
            app=parsed["receive_repo"],
            detail=audit.summarize(request.data),
        )
        app = app_for(user, parsed.pop("receive_repo"), DEVELOP)
        run = app.build_runs.filter(pk=parsed.pop("run", None)).first()
        build, operation = create_build(app=app, by=user, **parsed)
        if run:
            build_runs.released(run, build, operation.release)
        if STREAM in request.headers.get("Accept", ""):
            return StreamingHttpResponse(told(operation), content_type=STREAM)
        operations.wait(operation)
        return Response(outcome(operation.release))


def origin_of(run) -> str:
    """Where a build came from, as the builder said when it began: the pusher's address, or a git host's."""
    return BuildRun.objects.filter(pk=run).values_list("origin", flat=True).first() or "" if run else ""


def outcome(release: Release) -> dict:
    return {"release": {"version": release.version}}


def described_line(line: OutputLine) -> dict[str, str]:
    """`message` is a line of detail, `step` the beginning of something; `source` names the command that spoke."""
    if line.source == OutputLine.STEP:
        return {"step": line.text}
    return {"message": line.text} | ({} if line.source == OutputLine.PLATFORM else {"source": line.source})


def told(operation: Operation) -> Iterator[str]:
    """Lines of JSON: `{"step": …}` and `{"message": …}` on the way, then the outcome or `{"detail": …, "status": 400}`.

    An empty line keeps the connection.
    """
    try:
        for line in operations.follow(operation):
            yield json.dumps(described_line(line)) + "\n" if line is not None else "\n"
    except PaasError as exc:
        body = exc.body()
        yield json.dumps({**(body if isinstance(body, dict) else {"detail": body}), "status": exc.status}) + "\n"
    else:
        yield json.dumps(outcome(operation.release)) + "\n"
