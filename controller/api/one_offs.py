"""`/v2/apps/APP/runs/`, `run/attach`, `exec` and `portforward`: commands of their own, and ways into processes."""

from django.conf import settings
from rest_framework import serializers
from rest_framework.response import Response

from controller.access import OPERATE
from controller.actions import one_offs, processes
from controller.api.authentication import TokenAuthentication
from controller.api.scoping import AppView, Strict
from controller.api.shapes import Page
from controller.api.upgrades import has_hung_up, offered_websocket, take_over
from controller.cluster import tunnels
from controller.errors import BadRequest, Invalid

LONGEST_COMMAND = 64 * 1024  # characters


class OneOffSerializer(serializers.Serializer):
    name = serializers.CharField()
    app = serializers.CharField(source="app.name")
    by = serializers.SerializerMethodField()
    kind = serializers.CharField()
    command = serializers.CharField()
    release = serializers.SerializerMethodField()
    state = serializers.CharField()
    exit_code = serializers.IntegerField(allow_null=True)
    reason = serializers.CharField()
    created = serializers.DateTimeField()
    deadline = serializers.DateTimeField()
    ended = serializers.DateTimeField(allow_null=True)

    def get_by(self, row) -> str | None:
        return row.by.username if row.by else None

    def get_release(self, row) -> str:
        return f"v{row.version}"


class NewOneOff(Strict):
    command = serializers.CharField(max_length=LONGEST_COMMAND)
    timeout = serializers.IntegerField(required=False, allow_null=True, min_value=1)


class OneOffsView(AppView):
    takes = {"POST": NewOneOff}
    gives = {"GET": Page(OneOffSerializer), "POST": (201, OneOffSerializer)}

    def get(self, request, **kwargs):
        return self.page(self.app.one_offs.select_related("app", "by"), OneOffSerializer)

    def post(self, request, **kwargs):
        parsed = self.parsed(NewOneOff)
        seconds = parsed.get("timeout") or settings.DETACHED_TIMEOUT
        row = one_offs.detach(app=self.app, command=parsed["command"], seconds=seconds, by=request.user)
        return Response(OneOffSerializer(row).data, status=201)


class OneOneOffView(AppView):
    """Whoever may begin a command may stop it."""

    gives = {"GET": OneOffSerializer, "DELETE": 204}

    rights = {**AppView.rights, "DELETE": OPERATE}

    def get(self, request, **kwargs):
        return Response(OneOffSerializer(one_offs.one_off_named(self.app, kwargs["name"])).data)

    def delete(self, request, **kwargs):
        one_offs.stop(row=one_offs.one_off_named(self.app, kwargs["name"]), by=request.user)
        return Response(status=204)


class TunnelView(AppView):
    """A WebSocket into the app. A browser sends its cookie to any page's WebSocket: only tokens count here."""

    authentication_classes = (TokenAuthentication,)
    rights = {"GET": OPERATE}
    deeds = ("GET",)

    def command(self) -> str:
        command = self.request.query_params.get("command", "").strip()
        if not command:
            raise BadRequest("command is a required field")
        if len(command) > LONGEST_COMMAND or "\x00" in command:
            raise Invalid(command=f"A command has at most {LONGEST_COMMAND} characters, none of them NUL")
        return command

    def tty(self) -> bool:
        return self.request.query_params.get("tty", "") in ("1", "true")

    def join(self, tunnel, *, pulse=lambda: None, ended=lambda: None):
        """The client's connection joined to `tunnel`, in place of an answer."""
        client, nothing = take_over(self.request)
        tunnels.join(tunnel, client, pulse=pulse, ended=ended, allowed=self.still_allowed)
        return nothing


class AttachedRunView(TunnelView):
    """A command in a pod of its own; when the client hangs up, the pod goes."""

    asks = {"GET": {"command": "what to run", "tty": "1 for a terminal"}}
    gives = {"GET": 101}

    def get(self, request, **kwargs):
        offered, command = offered_websocket(request), self.command()
        row, tunnel = one_offs.open_session(
            app=self.app,
            command=command,
            tty=self.tty(),
            offered=offered,
            by=request.user,
            gone=lambda: has_hung_up(request),
        )
        return self.join(tunnel, pulse=lambda: one_offs.beat(row), ended=lambda: one_offs.end_session(row))


class ExecView(TunnelView):
    """A command in a running process."""

    asks = {"GET": {"process": "a type, or a process", "command": "what to run", "tty": "1 for a terminal"}}
    gives = {"GET": 101}

    def get(self, request, **kwargs):
        offered, command = offered_websocket(request), self.command()
        process = request.query_params.get("process", "")
        if not process:
            raise BadRequest("process is a required field: a type, or a process as `paas ps` names it")
        return self.join(
            processes.open_exec(
                app=self.app, process=process, command=command, tty=self.tty(), offered=offered, by=request.user
            )
        )


class PortForwardView(TunnelView):
    """A TCP connection to a port of a process."""

    asks = {"GET": {"process": "a type, or a process", "port": "1 to 65535"}}
    gives = {"GET": 101}

    def get(self, request, **kwargs):
        offered, port = offered_websocket(request), request.query_params.get("port", "")
        if not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65535:
            raise Invalid(port="A port is a number from 1 to 65535")
        process = request.query_params.get("process", "")
        return self.join(processes.open_port(app=self.app, process=process, port=int(port), offered=offered))
