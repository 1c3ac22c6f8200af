"""`/v2/apps/APP/explain/`: why anything isn't as wished."""

from dataclasses import asdict

from rest_framework.response import Response

from controller.actions.explain import explain_app
from controller.api.scoping import AppView
from controller.cluster.problems import Problem


class ExplainView(AppView):
    gives = {"GET": {"app": str, "summary": str, "findings": [Problem]}}

    def get(self, request, **kwargs):
        summary, problems = explain_app(self.app)
        return Response({"app": self.app.name, "summary": summary, "findings": [asdict(one) for one in problems]})
