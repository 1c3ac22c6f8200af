"""Certificates people bring, and the domains they serve."""

import re

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from django.db import IntegrityError, transaction

from controller.access import OPERATE, require
from controller.actions.carry_out import sync
from controller.actions.domains import canonical_of
from controller.actions.events import record
from controller.errors import BadRequest, Conflict, Invalid, Missing
from controller.models import App, Certificate, Domain, User

NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
LONGEST_NAME = 200
LONGEST_PEM, LONGEST_KEY = 512 * 1024, 64 * 1024
SHORT = {
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COMMON_NAME: "CN",
    NameOID.EMAIL_ADDRESS: "emailAddress",
}


def load(certificate: str, key: str) -> x509.Certificate:
    """The leaf of `certificate`, proven to belong to `key`. Raises: Invalid, BadRequest."""
    errors = {}
    try:
        leaf = x509.load_pem_x509_certificates(certificate.encode())[0]
    except (ValueError, IndexError) as exc:
        errors["certificate"] = f"Could not load certificate: {why_no_pem(certificate, 'CERTIFICATE', exc)}"
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError) as exc:
        errors["key"] = f"Could not load private key: {why_no_pem(key, 'PRIVATE KEY', exc)}"
    if errors:
        raise Invalid(**errors)
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        raise BadRequest("Certificate and private key do not match!")
    return leaf


def why_no_pem(text: str, wanted: str, exc: Exception) -> str:
    """What is wrong with a text that should be a PEM block of the kind `wanted`."""
    if "ENCRYPTED" in text:
        return "it is protected by a password; write one without: `openssl pkey -in KEY -out PLAIN`"
    if f"{wanted}-----" in text:
        return f"its PEM block is damaged or of an unknown kind ({str(exc).partition(' See ')[0].rstrip('.')})"
    if "-----BEGIN" in text:
        return f"it holds no {wanted.lower()}, perhaps certificate and key are swapped"
    return f"it is no PEM text, which begins with -----BEGIN {wanted}-----"


def slash_form(name: x509.Name) -> str:
    """`/C=US/O=Example/CN=example.org`."""
    return "".join(f"/{SHORT.get(part.oid, part.oid.dotted_string)}={part.value}" for part in name)


def facts_of(leaf: x509.Certificate) -> dict:
    """What the API tells about a certificate."""
    names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        dns = san.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        dns = []
    digest = leaf.fingerprint(hashes.SHA256()).hex().upper()
    return {
        "common_name": str(names[0].value) if names else "",
        "san": dns,
        "fingerprint": ":".join(digest[i : i + 2] for i in range(0, len(digest), 2)),
        "expires": leaf.not_valid_after_utc,
        "starts": leaf.not_valid_before_utc,
        "issuer": slash_form(leaf.issuer),
        "subject": slash_form(leaf.subject),
    }


def add_certificate(*, owner: User, name: str, certificate: str, key: str) -> Certificate:
    """Raises: Invalid, BadRequest."""
    if not NAME.fullmatch(name):
        raise Invalid(name="Can only contain a-z (lowercase), 0-9 and hyphens")
    leaf = load(certificate, key)
    if Certificate.objects.filter(name=name).exists():
        raise Invalid(name="Certificate with this name already exists.")
    try:
        with transaction.atomic():
            return Certificate.objects.create(
                owner=owner, name=name, certificate=certificate, key=key, **facts_of(leaf)
            )
    except IntegrityError as exc:
        raise Invalid(name="Certificate with this name already exists.") from exc


def certificate_of(owner: User, name: str) -> Certificate:
    """Raises: Missing."""
    row = owner.certificates.select_related("owner").prefetch_related("domains__app").filter(name=name).first()
    if row is None:
        raise Missing("Certificate")
    return row


def remove_certificate(certificate: Certificate) -> None:
    """Raises: ClusterTrouble."""
    apps = list(App.objects.filter(domains__certificate=certificate).distinct())
    with transaction.atomic():
        certificate.delete()
        for app in apps:
            record(app, f"certificate {certificate.name} removed")
    for app in apps:
        sync(app)


def domain_named(user: User, text: str) -> Domain:
    """The domain, if `user` may change its app. Raises: Missing, Forbidden."""
    domain = Domain.objects.select_related("app").filter(canonical=canonical_of(text)).first()
    if domain is None:
        raise Missing("Domain")
    require(user, domain.app, OPERATE)
    return domain


def attach(*, certificate: Certificate, text: str, by: User) -> None:
    """Raises: Missing, Forbidden, Conflict, ClusterTrouble."""
    domain = domain_named(by, text)
    if domain.certificate_id is not None:
        raise Conflict("Domain already has a certificate attached to it")
    with transaction.atomic():
        domain.certificate = certificate
        domain.save(update_fields=["certificate", "updated"])
        record(domain.app, f"certificate {certificate.name} added to {domain.domain}")
    sync(domain.app)


def detach(*, certificate: Certificate, text: str) -> None:
    """Raises: Missing, ClusterTrouble."""
    domain = certificate.domains.select_related("app").filter(canonical=canonical_of(text)).first()
    if domain is None:
        raise Missing("Domain")
    with transaction.atomic():
        domain.certificate = None
        domain.save(update_fields=["certificate", "updated"])
        record(domain.app, f"certificate {certificate.name} removed from {domain.domain}")
    sync(domain.app)
