"""Time-based one-time codes: enrolled, checked, given up."""

import base64
import hashlib
import hmac
import secrets
import struct
import time
from urllib.parse import quote, urlencode

import segno
from django.conf import settings
from django.db import transaction

from controller.errors import Conflict, Invalid
from controller.models import SecondFactor, User

STEP = 30  # seconds a code is shown; RFC 6238, section 5.2
DIGITS = 6
DRIFT = 1  # steps that a phone's clock may be off
RECOVERY_CODES = 10


def code_at(secret: str, step: int) -> str:
    """The code of a base32 `secret` in time step `step`. Source: RFC 4226, section 5.3."""
    mac = hmac.new(base64.b32decode(secret), struct.pack(">Q", step), hashlib.sha1).digest()
    offset = mac[-1] & 0xF
    number = struct.unpack(">I", mac[offset : offset + 4])[0] & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def has_second_factor(user: User) -> bool:
    return SecondFactor.objects.filter(user=user, confirmed=True).exists()


def enrol(user: User) -> dict[str, str]:
    """A new secret, as text and as the address an authenticator app reads; nothing is asked for until `confirm`.

    Raises: Conflict when there is one.
    """
    if has_second_factor(user):
        raise Conflict("Two-factor is on already; turn it off first to enrol another device")
    secret = base64.b32encode(secrets.token_bytes(20)).decode()
    SecondFactor.objects.update_or_create(
        user=user, defaults={"secret": secret, "confirmed": False, "last_step": 0, "recovery_digests": []}
    )
    label = quote(f"{settings.PLATFORM_DOMAIN}:{user.username}")
    query = urlencode({"secret": secret, "issuer": settings.PLATFORM_DOMAIN, "digits": DIGITS, "period": STEP})
    return {"secret": secret, "uri": f"otpauth://totp/{label}?{query}"}


def code_of(uri: str) -> segno.QRCode:
    """The address as a picture that an authenticator app reads with its camera."""
    return segno.make_qr(uri, error="m")


def rows_of(uri: str) -> list[str]:
    """That picture for whoever draws it: a row a line, 1 is dark; the light border is the drawer's."""
    return ["".join(str(module) for module in row) for row in code_of(uri).matrix]


def svg_of(uri: str) -> str:
    return code_of(uri).svg_inline(scale=5, border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None)


def confirm(user: User, code: str) -> list[str]:
    """Turns the second factor on; the recovery codes, this once. Raises: Conflict, Invalid."""
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().filter(user=user).first()
        if factor is None or factor.confirmed:
            raise Conflict("There is no enrolment to confirm; begin one first")
        if not take_code(factor, code):
            raise Invalid(code=WRONG)
        codes = [f"{secrets.token_hex(4)}-{secrets.token_hex(4)}" for _ in range(RECOVERY_CODES)]
        factor.confirmed = True
        factor.recovery_digests = [User.digest(code) for code in codes]
        factor.save()
    return codes


WRONG = "That is not the current code of your authenticator app, nor an unused recovery code."


def check_code(user: User, code: str) -> bool:
    """Whether `code` is a current one, or a recovery code; either is used up by it."""
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().filter(user=user, confirmed=True).first()
        if factor is None:
            return False
        digest = User.digest(code.strip().lower())
        if digest in factor.recovery_digests:
            factor.recovery_digests = [kept for kept in factor.recovery_digests if kept != digest]
        elif not take_code(factor, code):
            return False
        factor.save()
    return True


def take_code(factor: SecondFactor, code: str) -> bool:
    """Whether `code` is right now and newer than the last one; `factor` remembers it, unsaved."""
    code = code.replace(" ", "")
    now = int(time.time()) // STEP
    for step in range(now - DRIFT, now + DRIFT + 1):
        if step > factor.last_step and hmac.compare_digest(code_at(factor.secret, step).encode(), code.encode()):
            factor.last_step = step
            return True
    return False


def turn_off(user: User) -> None:
    SecondFactor.objects.filter(user=user).delete()


def state_of(user: User) -> dict:
    factor = SecondFactor.objects.filter(user=user, confirmed=True).first()
    return {"enabled": factor is not None, "recovery_codes_left": len(factor.recovery_digests) if factor else 0}
