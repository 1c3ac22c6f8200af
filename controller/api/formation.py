"""`/v2/apps/APP/ps/…`: types stopped and started again, and the sizes of processes."""

from django.conf import settings
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from controller.access import CONFIGURE, DEVELOP
from controller.actions import pausing, sizes
from controller.actions.operations import OperationFailed
from controller.api.scoping import AppView, Strict, View
from controller.api.sections import Section
from controller.api.waiting import await_end
from controller.config_fields import check_type
from controller.errors import ClusterTrouble


class Types(Strict):
    types = serializers.ListField(child=serializers.CharField(max_length=63), required=False, max_length=100)


def check_size(key: str, value) -> str:
    check_type(key)
    return str(value)


class Sizes(Strict):
    sizes = Section(check_size)


class StopView(AppView):
    takes = {"POST": Types}
    gives = {"POST": {"stopped": list[str]}}
    rights = {**AppView.rights, "POST": DEVELOP}

    def post(self, request, **kwargs):
        kinds = self.parsed(Types).get("types") or []
        stopped, operation = pausing.stop_types(app=self.app, kinds=kinds, by=request.user)
        wait_for(request, operation)
        return Response({"stopped": stopped})


class StartView(AppView):
    takes = {"POST": Types}
    gives = {"POST": {"started": dict[str, int]}}
    rights = {**AppView.rights, "POST": DEVELOP}

    def post(self, request, **kwargs):
        kinds = self.parsed(Types).get("types") or []
        counts, operation = pausing.start_types(app=self.app, kinds=kinds, by=request.user)
        wait_for(request, operation)
        return Response({"started": counts})


def wait_for(request, operation) -> None:
    try:
        await_end(request, operation)
    except OperationFailed as exc:
        raise ClusterTrouble(str(exc)) from exc


class SizesView(View):
    """What sizes there are."""

    gives = {"GET": dict[str, dict[str, str]]}

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request):
        return Response(settings.SIZES)


class AppSizesView(AppView):
    takes = {"POST": Sizes}
    gives = {"GET": dict[str, dict[str, str | int | None]], "POST": (201, dict[str, dict[str, str | int | None]])}
    rights = {**AppView.rights, "POST": CONFIGURE}

    def get(self, request, **kwargs):
        return Response(sizes.sizes_of(self.app))

    def post(self, request, **kwargs):
        wished = self.parsed(Sizes).get("sizes") or {}
        _, operation = sizes.resize(app=self.app, wished=wished, by=request.user)
        await_end(request, operation)
        return Response(sizes.sizes_of(self.app), status=201)
