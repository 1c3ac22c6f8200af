"""Domain names of apps."""

from urllib.parse import urlsplit

import idna
from django.conf import settings
from django.db import IntegrityError, transaction

from controller.actions.carry_out import sync
from controller.actions.events import record
from controller.errors import Invalid, Missing
from controller.models import App, Domain, User


def normalize(text: str) -> str:
    """The name as it is stored: without a trailing dot, labels in their ASCII form. Raises: Invalid."""
    text = text.removesuffix(".")
    if text == "*":
        raise Invalid(domain="Hostname can't only be a wildcard")
    wildcard, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    labels = [to_ascii(label, text) for label in name.split(".")]
    if len(labels) > 1 and labels[-1].isdigit():
        raise Invalid(domain="Hostname does not look valid.")
    full = wildcard + ".".join(labels)
    if len(full) > 253:
        raise Invalid(domain="Hostname does not look valid.")
    return full


def to_ascii(label: str, text: str) -> str:
    """One label through IDNA2008; ASCII keeps its case."""
    try:
        encoded = idna.alabel(label.lower()).decode()
    except (idna.IDNAError, UnicodeError) as exc:
        raise Invalid(domain=f"Hostname does not look valid, could not convert to ACE {text}: {exc}") from exc
    return label if label.isascii() else encoded


def canonical_of(name: str) -> str:
    """What may not clash: `blue` and `blue.PLATFORM_DOMAIN` are one name to the router."""
    lower = name.lower()
    short = lower.removesuffix("." + settings.PLATFORM_DOMAIN.lower())
    return short if "." not in short and short != "*" else lower


def refuse_platform_names(name: str) -> None:
    """Raises: Invalid for the platform's own host, and for a wildcard that would answer for every app there is not."""
    domain = settings.PLATFORM_DOMAIN.lower()
    lower = name.lower()
    if lower in (domain, urlsplit(settings.PLATFORM_URL).hostname):
        raise Invalid(domain=f"The domain {name} is the platform's own")
    if lower.startswith("*.") and f".{domain}".endswith(lower[1:]):
        raise Invalid(domain=f"The domain {name} would take every name below {domain}")


def add_domain(*, app: App, text: str, by: User) -> Domain:
    """Raises: Invalid, ClusterTrouble."""
    name = normalize(text)
    refuse_platform_names(name)
    existing = Domain.objects.filter(canonical=canonical_of(name)).first()
    if existing is not None:
        if existing.domain == text:
            raise Invalid(domain="Domain is already in use by another application")
        raise Invalid(domain=f"The domain {name} is already in use by another app")
    try:
        with transaction.atomic():
            domain = Domain.objects.create(app=app, owner=by, domain=name, canonical=canonical_of(name))
            record(app, f"domain {name} added")
    except IntegrityError as exc:
        raise Invalid(domain="Domain is already in use by another application") from exc
    sync(app)
    return domain


def remove_domain(*, app: App, text: str) -> None:
    """Raises: Missing, ClusterTrouble."""
    try:
        name = normalize(text)
    except Invalid as exc:
        raise Missing("Domain") from exc
    domain = app.domains.filter(canonical=canonical_of(name)).first()
    if domain is None:
        raise Missing("Domain")
    with transaction.atomic():
        domain.delete()
        record(app, f"domain {domain.domain} removed")
    sync(app)
