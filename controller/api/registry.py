"""`/v2/registry/token`: where `docker login`, engines and the builder fetch tokens for the image registry."""

import base64
import binascii
import re

from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from controller.actions.registry import issue
from controller.api.scoping import View
from controller.errors import BadRequest, Unauthorized
from controller.peer import client_address
from controller.registry_tokens import SERVICE, parse_scopes

LIFE = re.compile(r"[0-9]{1,9}")  # seconds


class RegistryTokenView(View):
    """As the Distribution project's clients ask: Basic credentials, `service` and any number of `scope`s."""

    asks = {
        "GET": {
            "service": "the registry's name",
            "scope": "repository:APP:pull,push",
            "life": "seconds, for the platform's own account",
        }
    }
    gives = {"GET": {"token": str, "access_token": str, "expires_in": int}}

    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request):
        service = request.query_params.get("service", "")
        if service != SERVICE:
            raise BadRequest(f"service: {service!r} is not {SERVICE!r}.")
        life = request.query_params.get("life", "0")
        if not LIFE.fullmatch(life):
            raise BadRequest(f"life: {life[:20]!r} is no number of seconds.")
        username, password = basic(request.headers.get("Authorization", ""))
        token, seconds = issue(
            username=username,
            password=password,
            address=client_address(request),
            wanted=parse_scopes(request.query_params.getlist("scope")),
            life=int(life),
        )
        return Response({"token": token, "access_token": token, "expires_in": seconds})


def basic(header: str) -> tuple[str, str]:
    """User name and password of an Authorization header. Raises: Unauthorized."""
    scheme, _, encoded = header.partition(" ")
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    username, colon, password = text.partition(":")
    if not colon:
        raise Unauthorized("Sign in to the image registry with your user name and password: `docker login`.")
    return username, password
