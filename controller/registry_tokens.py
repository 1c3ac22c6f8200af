"""The registry's bearer tokens: JWTs in the form the Distribution project checks. Pure.

Source: the Distribution project's "Token Authentication Implementation" and "Token Scope Documentation".
"""

import base64
import hmac
import re
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

SERVICE, ISSUER = "paas-registry", "paas-controller"  # as registry/server.py configures the server
PULLERS = "apps"  # before an app's name; no user's name has a slash
BUILDS = "builds"  # before the time when the login of the nodes that build ends
SKEW = 30  # seconds the registry's clock may be behind ours
ACTIONS = ("pull", "push", "delete")
SCOPE = re.compile(r"repository:(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*):(?P<actions>[a-z*]+(?:,[a-z*]+)*)")


@dataclass(frozen=True)
class Wanted:
    """Actions on one repository."""

    repository: str
    actions: tuple[str, ...]


def parse_scopes(texts: Iterable[str]) -> list[Wanted]:
    """`repository:NAME:ACTION,…`, several in one text with blanks between; others grant nothing and are left out."""
    found = (SCOPE.fullmatch(part) for text in texts for part in text.split())
    return [Wanted(match["name"], known_actions(match["actions"])) for match in found if match]


def known_actions(text: str) -> tuple[str, ...]:
    asked = text.split(",")
    return ACTIONS if "*" in asked else tuple(action for action in ACTIONS if action in asked)


def pull_login(secret: str, app: str) -> tuple[str, str]:
    """Name and password with which nodes fetch an app's images; computed, and kept nowhere but in the cluster."""
    digest = hmac.digest(secret.encode(), f"registry-pull:{app}".encode(), "sha256")
    return f"{PULLERS}/{app}", base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def builds_login(builder_key: str, until: int) -> tuple[str, str]:
    """Name and password with which nodes that build fetch the platform's own images, until that time (seconds since
    the epoch). The builder computes the same (builder/registry_auth.py)."""
    digest = hmac.digest(builder_key.encode(), f"registry-builds:{until}".encode(), "sha256")
    return f"{BUILDS}/{until}", base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_builds_login(builder_key: str, username: str, password: str) -> bool:
    """Whether it is one that hasn't ended."""
    kind, _, until = username.partition("/")
    if kind != BUILDS or not re.fullmatch(r"[0-9]{1,12}", until) or int(until) < time.time() or not builder_key:
        return False
    return hmac.compare_digest(builds_login(builder_key, int(until))[1].encode(), password.encode())


def of_platform(wanted: Iterable[Wanted]) -> list[Wanted]:
    """Pulling what of `wanted` is the platform's own: its images have a slash in their names, apps' have none."""
    return [Wanted(one.repository, ("pull",)) for one in wanted if "/" in one.repository and "pull" in one.actions]


@dataclass(frozen=True)
class Signer:
    key: str  # PEM, P-256
    certificate: str  # PEM, of that key; the registry knows it

    def token(self, subject: str, granted: Iterable[Wanted], seconds: int) -> str:
        now = int(time.time())
        access = [{"type": "repository", "name": one.repository, "actions": list(one.actions)} for one in granted]
        claims: Mapping[str, object] = {
            "iss": ISSUER, "sub": subject, "aud": SERVICE, "iat": now, "nbf": now - SKEW, "exp": now + seconds,
            "jti": str(uuid.uuid4()), "access": access,
        }  # fmt: skip
        return jwt.encode(dict(claims), self.key, "ES256", headers={"x5c": [der(self.certificate)]})


@cache
def der(certificate: str) -> str:
    return base64.b64encode(x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)).decode()
