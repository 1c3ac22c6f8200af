"""Certificates in the browser: added, attached, detached, removed; the private key goes in and never comes out."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from controller.actions.domains import add_domain
from controller.dashboard.certificate_pages import expiry_of
from controller.models import AuditEntry, Certificate, User
from tests.dashboard.conftest import text_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pem(name="www.example.test", days=90):
    """(certificate, key), self-signed."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days, hours=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


@pytest.fixture
def added(admin):
    certificate, key = pem()
    admin.send("/certificates/", "/create/certificate/", name="www", certificate=certificate, key=key)
    return Certificate.objects.get(name="www")


def test_a_certificate_is_added_and_shown_without_its_key(admin, added):
    for path in ("/certificates/", "/certificates/www/"):
        page = text_of(admin.get(path))
        assert "90 days left" in page
        assert "PRIVATE KEY-----\nM" not in page and added.key.splitlines()[1] not in page
    assert added.fingerprint in text_of(admin.get("/certificates/www/"))


def test_nothing_of_a_key_stays_in_the_trail(admin, added):
    told = str([entry.detail for entry in AuditEntry.objects.filter(action="POST /create/certificate/")])
    assert "www" in told and "BEGIN" not in told and added.key.splitlines()[1] not in told


def test_a_key_of_another_certificate_is_refused_and_not_typed_back(admin):
    certificate, key = pem()[0], pem()[1]
    page = admin.send("/certificates/", "/create/certificate/", name="www", certificate=certificate, key=key)
    assert page.status_code == 400
    assert "do not match" in text_of(page)
    assert key.splitlines()[1] not in text_of(page)
    assert certificate.splitlines()[1] in text_of(page)
    assert not Certificate.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "No Name"}, "Can only contain a-z"),
        ({"certificate": "nonsense"}, "Could not load certificate"),
        ({"key": "nonsense"}, "Could not load private key"),
    ],
)
def test_what_is_wrong_is_told_beside_its_field(admin, wrong, said):
    certificate, key = pem()
    fields = {"name": "www", "certificate": certificate, "key": key, **wrong}
    page = text_of(admin.send("/certificates/", "/create/certificate/", **fields))
    (field,) = wrong
    assert said in page.partition(f'name="{field}"')[2].partition("</div>")[0]


def test_a_domain_is_served_with_it_until_it_is_detached(admin, added, deployed, cluster):
    add_domain(app=deployed, text="www.example.test", by=added.owner)
    assert 'option value="www.example.test"' in text_of(admin.get("/certificates/www/"))
    admin.send("/certificates/www/", "/certificates/www/attach/", domain="www.example.test")
    assert deployed.domains.get(domain="www.example.test").certificate == added
    assert "Certificate www" in text_of(admin.get("/apps/shop/domains/"))
    admin.send("/certificates/www/", "/certificates/www/detach/", domain="www.example.test")
    assert deployed.domains.get(domain="www.example.test").certificate is None


def test_a_domain_of_nobody_and_another_s_are_refused_alike(admin, added, sign_in):
    page = admin.send("/certificates/www/", "/certificates/www/attach/", domain="gone.example.test")
    assert page.status_code == 400
    assert "No app of yours has the domain gone.example.test" in text_of(page)


def test_somebody_else_s_certificate_is_not_there(admin, added, sign_in):
    alice = sign_in("alice")
    assert "No certificate yet" in text_of(alice.get("/certificates/"))
    assert alice.get("/certificates/www/").status_code == 404


def test_it_is_removed_with_its_key(admin, added):
    page = admin.send("/certificates/www/", "/certificates/www/remove/")
    assert page.redirect_chain == [("/certificates/", 302)]
    assert not Certificate.objects.exists()


@pytest.mark.parametrize(
    ("days", "tone", "text"),
    [(-2, "bad", "Expired 2 days ago"), (0.5, "busy", "less than a day left"), (12, "busy", "12 days left"),
     (30, "good", "30 days left")],
)  # fmt: skip
def test_what_ends_soon_looks_so(days, tone, text):
    assert expiry_of(NOW + timedelta(days=days), NOW) == {"tone": tone, "text": text}


def test_the_first_to_expire_is_on_top(admin):
    owner = User.objects.get(username="admin")
    for name, days in (("later", 90), ("sooner", 10)):
        ends = datetime.now(UTC) + timedelta(days=days)
        Certificate.objects.create(owner=owner, name=name, certificate="x", key="x", starts=ends, expires=ends)
    page = text_of(admin.get("/certificates/"))
    assert page.index("/certificates/sooner/") < page.index("/certificates/later/")
