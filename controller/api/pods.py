"""`/v2/apps/APP/pods/`: processes listed and restarted."""

from dataclasses import asdict

from rest_framework.response import Response

from controller.access import DEVELOP
from controller.actions.processes import processes_of, restart
from controller.api.scoping import AppView, Nothing
from controller.api.shapes import counted
from controller.cluster.pods import Process


class PodsView(AppView):
    gives = {"GET": counted(Process)}

    def get(self, request, **kwargs):
        processes = processes_of(self.app, kwargs.get("type"), kwargs.get("name"))
        results = [asdict(process) for process in processes]
        return Response({"results": results, "count": len(results)})


class RestartView(AppView):
    takes = {"POST": Nothing}
    gives = {"POST": [Process]}
    rights = {"POST": DEVELOP}

    def post(self, request, **kwargs):
        self.parsed(Nothing)
        fresh = restart(app=self.app, kind=kwargs.get("type"), name=kwargs.get("name"), by=request.user)
        return Response([asdict(process) for process in fresh])
