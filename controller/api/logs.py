"""`/v2/apps/APP/logs`, its drains and retention, and what the log store asks."""

from django.http import HttpResponse, StreamingHttpResponse
from rest_framework import serializers
from rest_framework.response import Response

from controller import log_store
from controller.access import OPERATE
from controller.actions import log_drains
from controller.actions.log_filters import SOURCES, filters
from controller.actions.logs import follow_logs, read_logs, while_allowed
from controller.api.hooks import HookView
from controller.api.scoping import AppView, Strict
from controller.api.shapes import Also, Text, counted
from controller.api.upgrades import connection_of, take_over
from controller.cluster import tunnels
from controller.errors import ClusterTrouble
from controller.middleware import API_VERSION, PLATFORM_VERSION

MOST_LINES = 10_000
HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nX-Accel-Buffering: no\r\n"
    f"DEIS_API_VERSION: {API_VERSION}\r\nDEIS_PLATFORM_VERSION: {PLATFORM_VERSION}\r\n\r\n"
)


QUESTIONS = {
    "log_lines": "how many of the newest lines",
    "follow": "1 to go on as lines come",
    "since": "a time, or how long ago: 15m",
    "until": "a time, or how long ago",
    "ps": "a type, or a process",
    "source": f"one of {', '.join(SOURCES)}",
    "grep": "text the lines have",
}
RETENTION = {"days": int | None, "megabytes": int | None}


class LogsView(AppView):
    """The log as text; with `?follow=1` it goes on until the reader hangs up."""

    asks = {"GET": QUESTIONS}
    gives = {"GET": {200: Text(), 204: None, 500: Text()}}

    def get(self, request, **kwargs):
        wished = request.query_params.get("log_lines", "")
        lines = min(int(wished[-9:]), MOST_LINES) if wished.isascii() and wished.isdigit() else 0
        query = filters(request.query_params)
        if lines == 0 and not query.get("since"):
            lines = 100
        if request.query_params.get("follow", "") in ("1", "true"):
            return self.follow(request, lines, query)
        try:
            text = read_logs(self.app, lines, query)
        except ClusterTrouble:
            message = f"Error accessing logs for {self.app.name}"
            return HttpResponse(message, status=500, content_type="text/plain")
        if not text:
            return HttpResponse(status=204)
        return HttpResponse(text, content_type="text/plain; charset=utf-8")

    def follow(self, request, lines: int, query: dict[str, str]):
        """A reader may stay for hours: where that can be, its connection is handed to the store's."""
        if log_store.is_configured() and connection_of(request) is not None:
            target = log_store.target_of(self.app.name, {**query, "lines": str(lines or ""), "follow": "1"})
            try:
                tunnel = tunnels.open_neighbour(log_store.place(), target, HEAD.encode())
            except ClusterTrouble:
                tunnel = None
            if tunnel is not None:
                client, nothing = take_over(request)
                tunnels.join(
                    tunnel, client, pulse=lambda: None, ended=lambda: None, allowed=self.still_allowed, patience=None
                )
                return nothing
        followed = while_allowed(follow_logs(self.app, lines, query=query), self.still_allowed)
        return StreamingHttpResponse(followed, content_type="text/plain; charset=utf-8")


class DrainSerializer(serializers.Serializer):
    """Addresses without their passwords: those are only written."""

    uuid = serializers.UUIDField()
    url = serializers.SerializerMethodField()
    created = serializers.DateTimeField()
    by = serializers.SerializerMethodField()

    def get_url(self, row) -> str:
        return log_drains.masked(row.url)

    def get_by(self, row) -> str | None:
        return row.by.username if row.by else None


class NewDrain(Strict):
    url = serializers.CharField(max_length=log_drains.LONGEST_URL)


class RetentionFields(Strict):
    days = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=3650)
    megabytes = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=1_000_000)


class DrainsView(AppView):
    takes = {"POST": NewDrain}
    gives = {"GET": counted(Also(DrainSerializer, state=str, waiting=int)), "POST": (201, DrainSerializer)}

    def get(self, request, **kwargs):
        states = log_drains.states_of(self.app)
        rows = []
        for drain in self.app.log_drains.select_related("by"):
            state = states.get(str(drain.uuid)) or {}
            shown = {"state": state.get("state", "unknown"), "waiting": state.get("waiting", 0)}
            rows.append({**DrainSerializer(drain).data, **shown})
        return Response({"results": rows, "count": len(rows)})

    def post(self, request, **kwargs):
        drain = log_drains.add_drain(app=self.app, url=self.parsed(NewDrain)["url"], by=request.user)
        return Response(DrainSerializer(drain).data, status=201)


class OneDrainView(AppView):
    gives = {"DELETE": 204}
    rights = {**AppView.rights, "DELETE": OPERATE}

    def delete(self, request, **kwargs):
        log_drains.remove_drain(app=self.app, wished=kwargs["drain"], by=request.user)
        return Response(status=204)


class RetentionView(AppView):
    takes = {"POST": RetentionFields}
    gives = {"GET": RETENTION, "POST": RETENTION}

    def get(self, request, **kwargs):
        kept = getattr(self.app, "log_retention", None)
        return Response({"days": kept.days if kept else None, "megabytes": kept.megabytes if kept else None})

    def post(self, request, **kwargs):
        parsed = self.parsed(RetentionFields)
        before = self.get(request).data
        kept = log_drains.keep(app=self.app, **{**before, **parsed}, by=request.user)
        return Response({"days": kept.days, "megabytes": kept.megabytes})


class StoreHook(HookView):
    """What the log store asks, every few seconds."""

    gives = {"GET": {"events": [object], "last": int, "more": bool, "apps": dict[str, object] | None, "digest": str}}

    def get(self, request):
        after = request.query_params.get("after", "0")
        number = int(after[:18]) if after.isascii() and after.isdigit() else 0
        return Response(log_drains.told_to_store(number, request.query_params.get("digest", "")))
