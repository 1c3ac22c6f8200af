"""How an app is reached: settings, whitelist, TLS, paths, perms."""

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.response import Response

from controller.access import OWN, READ
from controller.actions import perms
from controller.actions import settings as actions
from controller.actions.autoscale import problem_of
from controller.api.auth import NamedSerializer
from controller.api.scoping import IDENTITY, AppView, Strict
from controller.api.sections import Section
from controller.config_fields import LONGEST_TYPE, TYPE, TYPE_TEXT, check_label, check_type, refuse


def check_autoscale(key: str, value) -> dict | None:
    check_type(key)
    if value is None:
        return None
    if problem := problem_of(key, value):
        refuse(problem)
    return value


class SettingsSerializer(serializers.Serializer):
    uuid = serializers.UUIDField()
    app = serializers.SerializerMethodField()
    owner = serializers.CharField(source="owner.username")
    maintenance = serializers.BooleanField()
    routable = serializers.BooleanField()
    whitelist = serializers.JSONField()
    autoscale = serializers.JSONField()
    label = serializers.JSONField()
    created = serializers.DateTimeField()
    updated = serializers.DateTimeField()

    def get_app(self, row) -> str:
        return row.app.name


class SettingsChange(Strict):
    ignored = IDENTITY

    maintenance = serializers.BooleanField(required=False, allow_null=True)
    routable = serializers.BooleanField(required=False, allow_null=True)
    whitelist = serializers.ListField(
        child=serializers.CharField(max_length=64), required=False, allow_null=True, allow_empty=False, max_length=1000
    )
    autoscale = Section(check_autoscale)
    label = Section(check_label)

    def validate_whitelist(self, value):
        return [actions.checked_address(address) for address in value] if value is not None else None


class AddressesSerializer(Strict):
    addresses = serializers.ListField(child=serializers.CharField(max_length=64), allow_empty=False, max_length=1000)


class TLSSerializer(serializers.Serializer):
    uuid = serializers.UUIDField()
    app = serializers.CharField(source="app.name")
    owner = serializers.CharField(source="owner.username")
    https_enforced = serializers.BooleanField(allow_null=True)
    created = serializers.DateTimeField()
    updated = serializers.DateTimeField()


class TLSChange(Strict):
    ignored = IDENTITY

    https_enforced = serializers.BooleanField()


class ServiceChange(Strict):
    procfile_type = serializers.RegexField(TYPE, max_length=LONGEST_TYPE, error_messages={"invalid": TYPE_TEXT})
    path_pattern = serializers.CharField(max_length=4096)


class ServiceName(Strict):
    ignored = ("path_pattern",)

    procfile_type = serializers.CharField()


ADDRESSES = {"addresses": list[str]}
SERVICE = {"procfile_type": str, "path_pattern": str}


class SettingsView(AppView):
    takes = {"POST": SettingsChange}
    gives = {"GET": SettingsSerializer, "POST": (201, SettingsSerializer)}

    def get(self, request, **kwargs):
        return Response(SettingsSerializer(self.app.settings).data)

    def post(self, request, **kwargs):
        changes = self.parsed(SettingsChange)
        settings = actions.change_settings(app=self.app, changes=changes, by=request.user)
        return Response(SettingsSerializer(settings).data, status=201)


class WhitelistView(AppView):
    takes = {"POST": AddressesSerializer, "DELETE": AddressesSerializer}
    gives = {"GET": ADDRESSES, "POST": (201, ADDRESSES), "DELETE": 204}

    def get(self, request, **kwargs):
        return Response({"addresses": self.app.settings.whitelist})

    def post(self, request, **kwargs):
        addresses = self.parsed(AddressesSerializer)["addresses"]
        known = actions.allow_addresses(app=self.app, addresses=addresses, by=request.user)
        return Response({"addresses": known}, status=201)

    def delete(self, request, **kwargs):
        addresses = self.parsed(AddressesSerializer)["addresses"]
        actions.disallow_addresses(app=self.app, addresses=addresses, by=request.user)
        return Response(status=204)


class TLSView(AppView):
    takes = {"POST": TLSChange}
    gives = {"GET": TLSSerializer, "POST": (201, TLSSerializer)}

    def get(self, request, **kwargs):
        return Response(TLSSerializer(self.app.tls).data)

    def post(self, request, **kwargs):
        enforced = self.parsed(TLSChange)["https_enforced"]
        tls = actions.enforce_https(app=self.app, enforced=enforced, by=request.user)
        return Response(TLSSerializer(tls).data, status=201)


class ServicesView(AppView):
    takes = {"POST": ServiceChange, "DELETE": ServiceName}
    gives = {"GET": {"services": [SERVICE]}, "POST": {201: SERVICE, 204: None}, "DELETE": 204}

    def get(self, request, **kwargs):
        rows = self.app.services.values("procfile_type", "path_pattern")
        return Response({"services": list(rows)})

    def post(self, request, **kwargs):
        parsed = self.parsed(ServiceChange)
        service, changed = actions.route_paths(
            app=self.app, kind=parsed["procfile_type"], patterns=parsed["path_pattern"]
        )
        if not changed:
            return Response(status=204)
        body = {"procfile_type": service.procfile_type, "path_pattern": service.path_pattern}
        return Response(body, status=201)

    def delete(self, request, **kwargs):
        actions.unroute_paths(app=self.app, kind=self.parsed(ServiceName)["procfile_type"])
        return Response(status=204)


class PermsView(AppView):
    """Deis' view on who may work on an app: those who were given at least what a collaborator has."""

    takes = {"POST": NamedSerializer}
    gives = {"GET": {"users": list[str]}, "POST": 201}

    rights = {"GET": READ, "HEAD": READ, "POST": OWN}

    def get(self, request, **kwargs):
        return Response({"users": perms.collaborators_of(self.app)})

    def post(self, request, **kwargs):
        username = self.parsed(NamedSerializer)["username"]
        perms.grant(app=self.app, username=username)
        return HttpResponse(status=201)


class OnePermView(AppView):
    """Whoever was given a role may leave by itself; taking others out is for owner and admin."""

    gives = {"DELETE": 204}

    rights = {**AppView.rights, "DELETE": OWN}

    def initial(self, request, *args, **kwargs):
        if request.user is not None and kwargs["username"] == getattr(request.user, "username", None):
            self.rights = {**self.rights, "DELETE": READ}
        super().initial(request, *args, **kwargs)

    def delete(self, request, **kwargs):
        perms.revoke(app=self.app, username=kwargs["username"])
        return Response(status=204)
