"""`/v2/apps/APP/domains/`."""

from rest_framework import serializers
from rest_framework.response import Response

from controller.actions.domains import add_domain, remove_domain
from controller.api.scoping import IDENTITY, AppView, Strict
from controller.api.shapes import Page


class DomainSerializer(serializers.Serializer):
    owner = serializers.CharField(source="owner.username")
    created = serializers.DateTimeField()
    updated = serializers.DateTimeField()
    app = serializers.CharField(source="app.name")
    domain = serializers.CharField()


class NewDomainSerializer(Strict):
    ignored = IDENTITY

    domain = serializers.CharField(max_length=253)


class DomainsView(AppView):
    takes = {"POST": NewDomainSerializer}
    gives = {"GET": Page(DomainSerializer), "POST": (201, DomainSerializer)}

    def get(self, request, **kwargs):
        return self.page(self.app.domains.select_related("app", "owner"), DomainSerializer)

    def post(self, request, **kwargs):
        domain = add_domain(app=self.app, text=self.parsed(NewDomainSerializer)["domain"], by=request.user)
        return Response(DomainSerializer(domain).data, status=201)


class OneDomainView(AppView):
    gives = {"DELETE": 204}

    def delete(self, request, **kwargs):
        remove_domain(app=self.app, text=kwargs["domain"])
        return Response(status=204)
