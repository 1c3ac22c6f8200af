"""`/v2/hooks/…` about builds: who may push, what a build is to do, how it ended. Only the builder asks."""

from django.http import Http404
from rest_framework import serializers
from rest_framework.response import Response

from controller import disk
from controller.access import DEVELOP, app_for
from controller.actions import build_runs, docker_push, webhooks
from controller.actions.auth import user_named
from controller.actions.build_settings import build_settings
from controller.api.hooks import HookView
from controller.api.parsing import JSON
from controller.api.scoping import Strict
from controller.errors import DiskFull, Forbidden, Missing, Unauthorized
from controller.models import App, BuildRun, GitSource

RESULTS = (BuildRun.SUCCEEDED, BuildRun.FAILED, BuildRun.CANCELLED, BuildRun.SKIPPED)


RUN = {"uuid": str, "number": int, "app": str, "app_uuid": str, "settings": dict[str, object]}
TAKEN = {"detail": str, "queued": bool}


LONGEST_AGE = 10 * 365 * 86400.0  # seconds that a builder may have run


class PushHook(HookView):
    """Whose the `Authorization` header is that a git client or `paas` sent, and that they may deploy to the app."""

    gives = {"GET": {"username": str, "uuid": str}}

    def check_right(self, request) -> None:
        """The door does it, with the app at hand: a token may be for that app alone."""

    def get(self, request, app):
        if request.user is None or not request.auth:
            raise Unauthorized("Invalid token.")
        name = request.user.username
        try:
            row = app_for(request.user, app, DEVELOP)
        except Forbidden as exc:
            if str(exc) != str(Forbidden()):  # their token may not; the words say so
                raise
            raise Forbidden(f"Its owner can allow it: paas perms:create {name} -a {app}") from exc
        return Response({"username": name, "uuid": str(row.uuid)})


class NewRun(Strict):
    receive_user = serializers.CharField()
    receive_repo = serializers.CharField()
    source = serializers.ChoiceField(choices=BuildRun.SOURCES)
    origin = serializers.CharField(max_length=255, required=False, allow_blank=True)
    ref = serializers.CharField(max_length=255, required=False, allow_blank=True)
    sha = serializers.CharField(max_length=64, required=False, allow_blank=True)


class EndOfRun(Strict):
    state = serializers.ChoiceField(choices=(BuildRun.BUILDING, *RESULTS))
    sha = serializers.CharField(max_length=64, required=False, allow_blank=True)
    cause = serializers.CharField(max_length=4000, required=False, allow_blank=True)
    hint = serializers.CharField(max_length=4000, required=False, allow_blank=True)


class Age(Strict):
    age = serializers.FloatField(min_value=0, max_value=LONGEST_AGE, required=False, default=0)


def described(run: BuildRun) -> dict:
    """What the builder needs to know of a run."""
    return {
        "uuid": str(run.pk),
        "number": run.number,
        "app": run.app.name,
        "app_uuid": str(run.app.pk),
        "settings": build_settings(run.app),
    }


def git_of(source: GitSource | None) -> dict | None:
    if source is None:
        return None
    names = ("url", "branch", "private_key", "public_key")
    return {"uuid": str(source.pk), **{name: getattr(source, name) for name in names}}


class RunsHook(HookView):
    takes = {"POST": NewRun}
    gives = {"POST": (201, {**RUN, "git": dict[str, str] | None})}

    def post(self, request):
        parsed = self.parsed(NewRun)
        if (room := disk.room()).is_full:
            raise DiskFull(room)
        user = user_named(parsed.pop("receive_user"))
        app = app_for(user, parsed.pop("receive_repo"), DEVELOP)
        run = build_runs.begin(app=app, by=user, **parsed)
        source = GitSource.objects.filter(app=app).first()
        return Response({**described(run), "git": git_of(source)}, status=201)


class OneRunHook(HookView):
    """`building` when a claimed run begins (409 when it was cancelled meanwhile), else how a run ended."""

    takes = {"POST": EndOfRun}
    gives = {"POST": {"number": int}}

    def post(self, request, uuid):
        run = BuildRun.objects.filter(pk=uuid).first()
        if run is None:
            raise Missing("Build")
        parsed = self.parsed(EndOfRun)
        state = parsed.pop("state")
        if state != BuildRun.BUILDING:
            build_runs.finish(run, state, **parsed)
            if state == BuildRun.CANCELLED:
                build_runs.stop_deploy(run)
        elif not build_runs.start(run):
            return Response({"detail": "The build was cancelled."}, status=409)
        return Response({"number": run.number})


class ClaimHook(HookView):
    gives = {"POST": dict[str, dict[str, object] | None]}

    def post(self, request):
        claimed = build_runs.claim()
        if claimed is None:
            return Response({"run": None})
        run, source = claimed
        by = run.by or run.app.owner
        return Response(
            {
                "run": {**described(run), "by": by.username, "source": run.source, "wish": run.wish},
                "git": git_of(source),
            }
        )


class AbandonedHook(HookView):
    """A builder began `age` seconds ago: nobody builds what was being built before."""

    takes = {"POST": Age}
    gives = {"POST": {}}

    def post(self, request):
        build_runs.take_up_abandoned(self.parsed(Age)["age"])
        return Response({})


class WebhookHook(HookView):
    """A git host's delivery as it came, body and headers, passed on by the builder."""

    takes = {"POST": dict[str, object]}
    gives = {"POST": {200: TAKEN, 202: TAKEN}}

    parser_classes = (JSON,)

    def post(self, request, app):
        row = App.objects.filter(name=app).first()
        if row is None:
            raise Http404
        taken = webhooks.take(row, request.headers, request.body)
        queued = taken.run is not None and not taken.run.finished
        return Response({"detail": taken.text, "queued": queued}, status=202 if queued else 200)


class RegistryHook(HookView):
    """The registry's notifications: an image pushed under an app's name is released."""

    takes = {"POST": {"events": [object]}}
    gives = {"POST": {"queued": list[int]}}

    def post(self, request):
        events = request.data.get("events") if isinstance(request.data, dict) else None
        if not isinstance(events, list):
            raise serializers.ValidationError({"events": "A list is needed."})
        return Response({"queued": [run.number for run in docker_push.take_events(events)]})
