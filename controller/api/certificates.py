"""`/v2/certs/`."""

from django.http import HttpResponse
from rest_framework import serializers
from rest_framework.response import Response

from controller.actions import certificates as actions
from controller.api.scoping import Strict, View
from controller.api.shapes import Page
from controller.errors import BadRequest


class CertificateSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    owner = serializers.CharField(source="owner.username")
    name = serializers.CharField()
    common_name = serializers.CharField()
    san = serializers.JSONField()
    domains = serializers.SerializerMethodField()
    fingerprint = serializers.CharField()
    expires = serializers.DateTimeField()
    starts = serializers.DateTimeField()
    issuer = serializers.CharField()
    subject = serializers.CharField()
    created = serializers.DateTimeField()
    updated = serializers.DateTimeField()

    def get_domains(self, row) -> list[str]:
        return [domain.domain for domain in row.domains.all()]


class NewCertificateSerializer(Strict):
    ignored = (
        "id", "owner", "common_name", "san", "domains", "fingerprint", "expires", "starts", "issuer", "subject",
        "created", "updated",
    )  # fmt: skip

    name = serializers.CharField(max_length=actions.LONGEST_NAME)
    certificate = serializers.CharField(max_length=actions.LONGEST_PEM)
    key = serializers.CharField(max_length=actions.LONGEST_KEY)

    def validate_name(self, value):
        if not actions.NAME.fullmatch(value):
            raise serializers.ValidationError("Can only contain a-z (lowercase), 0-9 and hyphens")
        return value


class DomainName(Strict):
    domain = serializers.CharField(required=False, allow_blank=True)


class CertificatesView(View):
    takes = {"POST": NewCertificateSerializer}
    gives = {"GET": Page(CertificateSerializer), "POST": (201, CertificateSerializer)}

    def get(self, request):
        rows = request.user.certificates.select_related("owner").prefetch_related("domains")
        return self.page(rows, CertificateSerializer)

    def post(self, request):
        certificate = actions.add_certificate(owner=request.user, **self.parsed(NewCertificateSerializer))
        return Response(CertificateSerializer(certificate).data, status=201)


class OneCertificateView(View):
    gives = {"GET": CertificateSerializer, "DELETE": 204}

    def get(self, request, name):
        return Response(CertificateSerializer(actions.certificate_of(request.user, name)).data)

    def delete(self, request, name):
        actions.remove_certificate(actions.certificate_of(request.user, name))
        return Response(status=204)


class CertificateDomainView(View):
    takes = {"POST": DomainName}
    gives = {"POST": 201}

    def post(self, request, name):
        certificate = actions.certificate_of(request.user, name)
        domain = self.parsed(DomainName).get("domain")
        if not domain:
            raise BadRequest("domain is a required field")
        actions.attach(certificate=certificate, text=domain, by=request.user)
        return HttpResponse(status=201)


class OneCertificateDomainView(View):
    gives = {"DELETE": 204}

    def delete(self, request, name, domain):
        actions.detach(certificate=actions.certificate_of(request.user, name), text=domain)
        return Response(status=204)
