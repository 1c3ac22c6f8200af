"""Who asks: a token, the dashboard's session, or the builder."""

import hmac

from django.conf import settings
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission

from controller.actions.tokens import user_of_token
from controller.peer import client_address


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: token <40 hex, or a personal one>`; the scheme's case doesn't matter."""

    def authenticate(self, request):
        scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
        if scheme.lower() != "token":
            return None
        token = token.strip()
        if not token:
            raise AuthenticationFailed("Invalid token header. No credentials provided.")
        if " " in token:
            raise AuthenticationFailed("Invalid token header. Token string should not contain spaces.")
        found = user_of_token(token, client_address(request))
        if found is None:
            raise AuthenticationFailed("Invalid token.")
        user, personal = found
        if not user.is_active:
            raise AuthenticationFailed("User inactive or deleted.")
        return user, f"token {personal.name}" if personal else "login"

    def authenticate_header(self, request):
        return "Token"


class SessionAuthentication(authentication.SessionAuthentication):
    """The dashboard's cookie; unsafe methods need the CSRF token."""


class FromBuilder(BasePermission):
    """Only who knows the builder's key."""

    def has_permission(self, request, view):
        offered = request.headers.get("X-Deis-Builder-Auth", "")
        return hmac.compare_digest(offered.encode(), settings.BUILDER_KEY.encode())
