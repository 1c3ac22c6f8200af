"""OpenID Connect as a relying party: authorization code with PKCE.

Sources: OpenID Connect Core 1.0, sections 3.1 and 5; RP-Initiated Logout 1.0; RFC 7636; RFC 9207.

Everything that arrives is checked: the state and nonce are the browser session's, the ID token's signature is by a
key the provider publishes, and issuer, audience, authorized party and times are right. Providers tell who it is in the
ID token or, as the standard has it when there is an access token, only at their userinfo endpoint: both are read.
"""

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from functools import lru_cache
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import jwt
from django.conf import settings

from controller.errors import cause_of

TIMEOUT = 10  # seconds one request to the provider may take
MOST_READ = 1 << 20  # bytes of an answer
KEPT = 3600.0  # seconds until the provider is asked for its addresses again
LEEWAY = 30  # seconds that its clock may differ
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SCOPES = "openid profile email"


class SignOnFailed(Exception):
    """The provider, or what came in its name, isn't as it should be; the text says what."""


@dataclass(frozen=True)
class Begun:
    """What a browser's session remembers until it comes back."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def fresh(cls) -> "Begun":
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))


@dataclass(frozen=True)
class Person:
    """Who the provider says has signed in."""

    issuer: str
    subject: str
    username: str
    email: str  # empty unless the provider says that it has verified it
    name: str
    id_token: str = ""  # shown to the provider again at sign-out


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def challenge_of(verifier: str) -> str:
    """The S256 challenge. Source: RFC 7636, section 4.2."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def ask(url: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> dict:
    """The JSON object at `url`. Raises: SignOnFailed."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise SignOnFailed(f"{url} is not https")
    data = urlencode(form).encode() if form is not None else None
    request = Request(url, data, {"Accept": "application/json", **(headers or {})})
    try:
        with build_opener(_NoRedirect, ProxyHandler()).open(request, timeout=TIMEOUT) as answer:
            found = json.loads(answer.read(MOST_READ))
    except HTTPError as exc:
        raise SignOnFailed(f"{parts.hostname} answered with status {exc.code}") from exc
    except (OSError, ValueError) as exc:
        raise SignOnFailed(f"{parts.hostname} could not be asked: {cause_of(exc)}") from exc
    if not isinstance(found, dict):
        raise SignOnFailed(f"{parts.hostname} answered with something else than an object")
    return found


@lru_cache(maxsize=2)
def _discovered(issuer: str, period: int) -> dict:
    found = ask(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if found.get("issuer") != issuer:
        raise SignOnFailed(f"the provider calls itself {found.get('issuer')!r}, not {issuer!r}")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not isinstance(found.get(name), str):
            raise SignOnFailed(f"the provider's configuration has no {name}")
    return found


def provider() -> dict:
    """The provider's configuration. Raises: SignOnFailed."""
    return _discovered(settings.OIDC_ISSUER, int(time.monotonic() // KEPT))


def callback_url() -> str:
    return f"{settings.PLATFORM_URL}/login/oidc/callback/"


def authorization_url(begun: Begun) -> str:
    """Where the browser is sent to sign in. Raises: SignOnFailed."""
    query = {
        "response_type": "code",
        "client_id": settings.OIDC_CLIENT_ID,
        "redirect_uri": callback_url(),
        "scope": SCOPES,
        "state": begun.state,
        "nonce": begun.nonce,
        "code_challenge": challenge_of(begun.verifier),
        "code_challenge_method": "S256",
    }
    endpoint = provider()["authorization_endpoint"]
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


def check_sender(iss: str) -> None:
    """That an answer which came by the browser is this provider's. Source: RFC 9207. Raises: SignOnFailed."""
    if iss != settings.OIDC_ISSUER and (iss or provider().get("authorization_response_iss_parameter_supported")):
        raise SignOnFailed(f"the answer is of {iss or 'nobody who says so'}, not of {settings.OIDC_ISSUER}")


def person_of(code: str, begun: Begun) -> Person:
    """Whom an authorization code stands for. Raises: SignOnFailed."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": callback_url(),
        "code_verifier": begun.verifier,
    }
    known, headers = client_proof(provider().get("token_endpoint_auth_methods_supported") or [BASIC])
    answer = ask(provider()["token_endpoint"], form | known, headers)
    token = answer.get("id_token")
    if not isinstance(token, str):
        raise SignOnFailed("the provider sent no ID token")
    claims = told_of(checked_claims(token, begun.nonce), answer.get("access_token"))
    email = str(claims.get("email") or "") if claims.get("email_verified") in (True, "true") else ""
    return Person(
        issuer=claims["iss"],
        subject=claims["sub"],
        username=str(claims.get("preferred_username") or str(claims.get("email") or "").partition("@")[0]),
        email=email,
        name=str(claims.get("name") or ""),
        id_token=token,
    )


BASIC, POST = "client_secret_basic", "client_secret_post"


def client_proof(methods: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Fields and headers by which the token endpoint knows this client, in a way of `methods`."""
    client, secret = settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET
    if not secret:
        return {"client_id": client}, {}
    if POST in methods and BASIC not in methods:
        return {"client_id": client, "client_secret": secret}, {}
    pair = f"{quote(client, safe='')}:{quote(secret, safe='')}"
    return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def told_of(claims: dict, access_token: object) -> dict:
    """The claims, with what the provider tells of the person at its userinfo endpoint alone. Raises: SignOnFailed."""
    endpoint = provider().get("userinfo_endpoint")
    wanted = claims.keys() >= {"preferred_username", "email", "email_verified"}
    if wanted or not isinstance(endpoint, str) or not isinstance(access_token, str):
        return claims
    told = ask(endpoint, headers={"Authorization": f"Bearer {access_token}"})
    if told.get("sub") != claims["sub"]:
        raise SignOnFailed("the provider tells of somebody else than the ID token")
    return told | claims


def sign_out_url(id_token: str) -> str:
    """Where the person can sign out of the provider as well; empty if it has no such place."""
    try:
        endpoint = provider().get("end_session_endpoint")
    except SignOnFailed:
        return ""
    if not isinstance(endpoint, str) or urlsplit(endpoint).scheme not in ("https", "http"):
        return ""
    query = {
        "id_token_hint": id_token,
        "client_id": settings.OIDC_CLIENT_ID,
        "post_logout_redirect_uri": f"{settings.PLATFORM_URL}/login/",
    }
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"


def checked_claims(token: str, nonce: str) -> dict:
    """The claims of an ID token that is right in every respect. Raises: SignOnFailed."""
    try:
        claims = jwt.decode(
            token,
            key_for(token),
            algorithms=list(ALGORITHMS),
            audience=settings.OIDC_CLIENT_ID,
            issuer=settings.OIDC_ISSUER,
            leeway=LEEWAY,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
    except jwt.PyJWTError as exc:
        raise SignOnFailed(f"the ID token is not right: {exc}") from exc
    if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise SignOnFailed("the ID token is for another sign-in")
    parties = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if claims.get("azp", settings.OIDC_CLIENT_ID if len(parties) == 1 else None) != settings.OIDC_CLIENT_ID:
        raise SignOnFailed("the ID token was made out to somebody else")
    return claims


def key_for(token: str):
    """The provider's public key that signed `token`, by its id; the only one when it names none.

    Raises: SignOnFailed, PyJWTError.
    """
    header = jwt.get_unverified_header(token)
    keys = [key for key in ask(provider()["jwks_uri"]).get("keys", []) if key.get("use", "sig") == "sig"]
    if "kid" in header:
        keys = [key for key in keys if key.get("kid") == header["kid"]]
    if len(keys) != 1:
        raise SignOnFailed("the provider publishes no key that the ID token names")
    return jwt.PyJWK(keys[0], algorithm=None if keys[0].get("alg") else header.get("alg")).key
