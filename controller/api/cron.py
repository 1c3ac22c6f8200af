"""`/v2/apps/APP/cron/`: commands on a schedule."""

from dataclasses import asdict

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import OPERATE
from controller.actions import cron
from controller.api.one_offs import LONGEST_COMMAND
from controller.api.scoping import AppView, Nothing, Strict
from controller.api.shapes import counted
from controller.cluster.cron_runs import Run
from controller.cron import Entry


class NewEntry(Strict):
    name = serializers.CharField(required=False, allow_blank=True, max_length=30)
    command = serializers.CharField(max_length=LONGEST_COMMAND)
    schedule = serializers.CharField(max_length=100)
    timezone = serializers.CharField(required=False, max_length=64, allow_null=True)
    policy = serializers.CharField(required=False, max_length=10, allow_null=True)
    deadline = serializers.IntegerField(required=False, allow_null=True)


class CronView(AppView):
    takes = {"POST": NewEntry}
    gives = {"GET": counted(Entry), "POST": (201, Entry)}

    def get(self, request, **kwargs):
        rows = [asdict(entry) for entry in cron.entries(self.app)]
        return Response({"results": rows, "count": len(rows)})

    def post(self, request, **kwargs):
        entry = cron.add(app=self.app, by=request.user, **self.parsed(NewEntry))
        return Response(asdict(entry), status=201)


class OneCronView(AppView):
    gives = {"GET": Entry, "DELETE": 204}
    rights = {**AppView.rights, "DELETE": OPERATE}

    def get(self, request, **kwargs):
        return Response(asdict(cron.entry_named(self.app, kwargs["name"])))

    def delete(self, request, **kwargs):
        cron.remove(app=self.app, name=kwargs["name"], by=request.user)
        return Response(status=204)


class CronDeedView(AppView):
    """`run`, `pause`, `resume`."""

    takes = {"POST": Nothing}
    gives = {"POST": {200: Entry, 201: {"name": str}}}

    def post(self, request, **kwargs):
        self.parsed(Nothing)
        name, deed = kwargs["name"], kwargs["deed"]
        if deed == "run":
            return Response({"name": cron.run_now(app=self.app, name=name, by=request.user)}, status=201)
        entry = cron.pause(app=self.app, name=name, paused=deed == "pause", by=request.user)
        return Response(asdict(entry))


class CronHistoryView(AppView):
    gives = {"GET": counted(Run)}

    def get(self, request, **kwargs):
        rows = [asdict(run) for run in cron.history(self.app, kwargs["name"])]
        return Response({"results": rows, "count": len(rows)})
