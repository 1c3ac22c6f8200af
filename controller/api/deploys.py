"""`/v2/apps/APP/deploy/`: how releases go live, and stopping one on its way."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import DEVELOP, READ
from controller.actions import deploy_rules, operations
from controller.actions.failure import good_before
from controller.api.scoping import AppView, Nothing, Strict
from controller.api.shapes import Also
from controller.cluster.rules import BOUNDS, DeployRules, share_of
from controller.models import Operation


class ShareField(serializers.Field):
    """A number of processes, or a part of them as `25%`."""

    def to_internal_value(self, data):
        try:
            return share_of(data)
        except ValueError as exc:
            raise serializers.ValidationError(str(exc)) from exc

    def to_representation(self, value):
        return value


def number(name: str) -> serializers.IntegerField:
    least, most = BOUNDS[name]
    return serializers.IntegerField(min_value=least, max_value=most, required=False, allow_null=True)


class RulesChange(Strict):
    ignored = ("set",)

    surge = ShareField(required=False, allow_null=True)
    unavailable = ShareField(required=False, allow_null=True)
    timeout = number("timeout")
    release_timeout = number("release_timeout")
    watch = number("watch")
    rollback = serializers.BooleanField(required=False, allow_null=True)
    errors = number("errors")


RULES = Also(DeployRules, set=list[str])


class RulesView(AppView):
    takes = {"POST": RulesChange}
    gives = {"GET": RULES, "POST": (201, RULES)}

    def get(self, request, **kwargs):
        return Response(deploy_rules.rules_of(self.app))

    def post(self, request, **kwargs):
        rules = deploy_rules.change_rules(app=self.app, changes=self.parsed(RulesChange), by=request.user)
        return Response(rules, status=201)


class CancelView(AppView):
    """Stops what is under way; answers once what ran before is back."""

    takes = {"POST": Nothing}
    gives = {"POST": {"kind": str, "release": int, "back_to": int | None}}

    rights = {"GET": READ, "HEAD": READ, "POST": DEVELOP}

    def post(self, request, **kwargs):
        self.parsed(Nothing)
        operation = operations.cancel(self.app, request.user)
        back = good_before(operation.release) if operation.kind == Operation.DEPLOY else operation.release
        return Response(
            {
                "kind": operation.kind,
                "release": operation.release.version,
                "back_to": back.version if back else None,
            }
        )
