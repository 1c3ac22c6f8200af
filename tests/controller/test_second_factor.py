"""Two-factor login: the codes of RFC 6238, once each, and ways back in."""

import base64
import time

import pytest

from controller.actions.second_factor import STEP, code_at
from controller.models import SecondFactor, User

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
LOGIN = {"username": "bob", "password": "correct horse"}


def now_code(secret, drift=0):
    return code_at(secret, int(time.time()) // STEP + drift)


@pytest.mark.parametrize(
    ("seconds", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_codes_are_those_of_the_standard(seconds, code):
    """RFC 6238, appendix B, the last six digits."""
    assert code_at(RFC_SECRET, seconds // STEP) == code


@pytest.fixture
def enrolled(bob):
    """bob with two-factor on; its secret and recovery codes."""
    begun = bob.post("/v2/auth/totp/", {"password": "correct horse"}).json()
    assert begun["uri"].startswith("otpauth://totp/paas.localhost%3Abob?secret=" + begun["secret"])
    assert {len(row) for row in begun["qr"]} == {len(begun["qr"])} and begun["qr"][0].startswith("11111110")
    answer = bob.post("/v2/auth/totp/confirm/", {"code": now_code(begun["secret"], -1)})
    assert answer.status_code == 201
    return begun["secret"], answer.json()["recovery_codes"]


def test_nothing_is_asked_for_before_the_enrolment_is_confirmed(bob, anonymous):
    begun = bob.post("/v2/auth/totp/", {"password": "correct horse"}).json()
    assert bob.post("/v2/auth/totp/confirm/", {"code": "000000"}).status_code == 400
    assert anonymous.post("/v2/auth/login/", LOGIN).status_code == 200
    assert bob.get("/v2/auth/totp/").json()["enabled"] is False
    assert begun["secret"] not in str(SecondFactor.objects.values_list("confirmed"))


def test_enrolling_needs_the_password(bob):
    answer = bob.post("/v2/auth/totp/", {"password": "wrong"})
    assert (answer.status_code, answer.json()) == (400, {"password": ["That is not your password."]})


def test_login_asks_for_a_code_once_the_password_is_right(enrolled, anonymous):
    answer = anonymous.post("/v2/auth/login/", LOGIN)
    assert (answer.status_code, list(answer.json())) == (400, ["code"])
    wrong = anonymous.post("/v2/auth/login/", {**LOGIN, "password": "wrong"})
    assert list(wrong.json()) == ["non_field_errors"]
    assert anonymous.post("/v2/auth/login/", {**LOGIN, "code": now_code(enrolled[0])}).status_code == 200


def test_a_code_is_good_once(enrolled, anonymous):
    body = {**LOGIN, "code": now_code(enrolled[0])}
    assert [anonymous.post("/v2/auth/login/", body).status_code for _ in range(2)] == [200, 400]


def test_an_old_code_is_refused(enrolled, anonymous):
    assert anonymous.post("/v2/auth/login/", {**LOGIN, "code": now_code(enrolled[0], -3)}).status_code == 400


def test_each_recovery_code_opens_once(enrolled, bob, anonymous):
    codes = enrolled[1]
    assert len(set(codes)) == 10
    body = {**LOGIN, "code": codes[0]}
    assert [anonymous.post("/v2/auth/login/", body).status_code for _ in range(2)] == [200, 400]
    assert bob.get("/v2/auth/totp/").json() == {"enabled": True, "recovery_codes_left": 9}
    assert codes[1] not in str(SecondFactor.objects.get().recovery_digests)


def test_turning_off_needs_a_code_or_an_administrator(enrolled, bob, admin, anonymous, sign_in):
    assert bob.delete("/v2/auth/totp/").status_code == 400
    assert sign_in("carol").delete("/v2/auth/totp/", {"username": "bob"}).status_code == 403
    assert admin.delete("/v2/auth/totp/", {"username": "bob"}).status_code == 204
    assert anonymous.post("/v2/auth/login/", LOGIN).status_code == 200


def test_a_second_device_is_not_enrolled_over_the_first(enrolled, bob):
    assert bob.post("/v2/auth/totp/", {"password": "correct horse"}).status_code == 409


def test_the_secret_is_encrypted_in_its_column(enrolled):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM controller_secondfactor")
        assert enrolled[0] not in cursor.fetchone()[0]
    assert User.objects.get(username="bob").second_factor.secret == enrolled[0]
