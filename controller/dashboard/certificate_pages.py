"""The signed-in person's certificates. The private key goes in and never comes out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from controller.access import OPERATE, apps_with
from controller.actions import certificates as actions
from controller.actions.upkeep import WARNED_BEFORE
from controller.dashboard import forms, pages, settings_forms
from controller.dashboard.edge import Next, page, write
from controller.dashboard.listing import page_of
from controller.dashboard.views import Context, Entered
from controller.errors import Invalid, Missing
from controller.models import Certificate, Domain

OFFERED = 100  # domains in the list to choose from; any name can be typed


def certificate_row(certificate: Certificate, now: datetime) -> Context:
    return {
        "name": certificate.name,
        "names": list(dict.fromkeys([certificate.common_name, *certificate.san])) if certificate.common_name
        else certificate.san,
        "domains": [{"name": domain.domain, "app": domain.app.name} for domain in certificate.domains.all()],
        "expires": certificate.expires,
        "state": expiry_of(certificate.expires, now),
    }  # fmt: skip


def expiry_of(moment: datetime, now: datetime) -> dict[str, str]:
    """How long it holds yet, in the tone that this deserves."""
    days = (moment - now).days
    if moment <= now:
        return {"tone": pages.BAD, "text": f"Expired {pages.ago(moment, now)}"}
    left = f"{days} day{'s' if days != 1 else ''}" if days else "less than a day"
    return {"tone": pages.BUSY if days < WARNED_BEFORE[0] else pages.GOOD, "text": f"{left} left"}


def show_certificates(request: HttpRequest, entered: Entered | None = None) -> HttpResponse:
    rows = request.user.certificates.prefetch_related("domains__app").order_by("expires", "name")
    chosen, now = page_of(request, rows), timezone.now()
    context = {
        "title": "Certificates",
        "place": "certificates",
        "certificates": [certificate_row(row, now) for row in chosen],
        "chosen": chosen,
        "entered": entered or {},
    }
    return render(request, "dashboard/certificates.html", context)


certificates = page(show_certificates)


def show_certificate(
    request: HttpRequest, certificate: str, entered: Entered | None = None, **more: Any
) -> HttpResponse:
    """Raises: Missing."""
    found = actions.certificate_of(request.user, certificate)
    bare = Domain.objects.filter(certificate=None, app__in=apps_with(request.user, OPERATE).values("pk").order_by())
    context = {
        "title": found.name,
        "place": "certificates",
        "certificate": found,
        **certificate_row(found, timezone.now()),
        "offered": bare.filter(domain__contains=".").order_by("domain").values_list("domain", flat=True)[:OFFERED],
        "entered": entered or {},
    }
    return render(request, "dashboard/certificate.html", context)


certificate = page(show_certificate)


@write(show_certificates)
def certificate_add(request: HttpRequest) -> Next:
    fields = forms.read(settings_forms.NewCertificate, request)
    made = actions.add_certificate(owner=request.user, **fields)
    return ("dashboard:certificate", made.name), f"{made.name} is added. Attach it to the domains it is for."


@write(show_certificate)
def certificate_attach(request: HttpRequest, certificate: str) -> Next:
    found = actions.certificate_of(request.user, certificate)
    domain = forms.read(settings_forms.CertifiedDomain, request)["domain"]
    try:
        actions.attach(certificate=found, text=domain, by=request.user)
    except Missing as exc:
        raise Invalid(domain=f"No app of yours has the domain {domain}; add it on the app's page first.") from exc
    return ("dashboard:certificate", certificate), f"{domain} is served with {certificate}."


@write(show_certificate)
def certificate_detach(request: HttpRequest, certificate: str) -> Next:
    found = actions.certificate_of(request.user, certificate)
    domain = forms.read(settings_forms.CertifiedDomain, request)["domain"]
    try:
        actions.detach(certificate=found, text=domain)
    except Missing as exc:
        raise Invalid(domain=f"{certificate} isn't attached to {domain}.") from exc
    return ("dashboard:certificate", certificate), f"{domain} is served without {certificate}."


@write(show_certificates)
def certificate_remove(request: HttpRequest, certificate: str) -> Next:
    actions.remove_certificate(actions.certificate_of(request.user, certificate))
    return ("dashboard:certificates",), f"{certificate} is removed, its key with it."
