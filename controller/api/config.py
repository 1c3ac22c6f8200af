"""`/v2/apps/APP/config/`."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.access import CONFIGURE
from controller.actions.config import change_config
from controller.actions.config_secrets import MASK, masked
from controller.api.scoping import IDENTITY, AppView, Strict
from controller.api.sections import Section
from controller.api.waiting import await_end
from controller.config_fields import CHECKS, LONGEST_KEY, kept_key
from controller.models.config import SECTIONS


class ConfigSerializer(serializers.Serializer):
    uuid = serializers.UUIDField()
    app = serializers.CharField(source="app.name")
    owner = serializers.CharField(source="owner.username")
    values = serializers.JSONField()
    memory = serializers.JSONField()
    cpu = serializers.JSONField()
    tags = serializers.JSONField()
    registry = serializers.JSONField()
    healthcheck = serializers.JSONField()
    termination_grace_period = serializers.JSONField()
    lifecycle_post_start = serializers.JSONField()
    lifecycle_pre_stop = serializers.JSONField()
    created = serializers.DateTimeField()
    updated = serializers.DateTimeField()

    def to_representation(self, config) -> dict:
        """Write-only values masked. What Deis doesn't have is there only where it is used."""
        data = super().to_representation(config)
        data["values"] = masked(config.values, config.secret_keys)
        if config.secret_keys:
            data["secrets"] = config.secret_keys
        if config.resolved:
            data["shared"] = {
                key: {"value": MASK if entry["secret"] else entry["value"], "from": entry["from"]}
                for key, entry in config.resolved.items()
            }
        return data


class ChangeSerializer(Strict):
    ignored = (*IDENTITY, "shared")

    secrets = serializers.ListField(child=serializers.CharField(max_length=LONGEST_KEY), required=False)
    values = Section(CHECKS["values"])
    memory = Section(CHECKS["memory"])
    cpu = Section(CHECKS["cpu"])
    tags = Section(CHECKS["tags"])
    registry = Section(CHECKS["registry"])
    healthcheck = Section(CHECKS["healthcheck"])
    termination_grace_period = Section(CHECKS["termination_grace_period"])
    lifecycle_post_start = Section(CHECKS["lifecycle_post_start"])
    lifecycle_pre_stop = Section(CHECKS["lifecycle_pre_stop"])


class ConfigView(AppView):
    takes = {"POST": ChangeSerializer}
    gives = {"GET": ConfigSerializer, "POST": (201, ConfigSerializer)}
    rights = {"GET": CONFIGURE, "HEAD": CONFIGURE, "POST": CONFIGURE}

    def get(self, request, **kwargs):
        return Response(ConfigSerializer(self.app.current_release().config).data)

    def post(self, request, **kwargs):
        parsed = self.parsed(ChangeSerializer)
        changes = {
            name: {kept_key(name, key): value for key, value in parsed[name].items()}
            for name in SECTIONS
            if parsed.get(name)
        }
        config, operation = change_config(
            app=self.app, changes=changes, by=request.user, secrets=parsed.get("secrets", ())
        )
        await_end(request, operation)
        return Response(ConfigSerializer(config).data, status=201)
