"""Who asks: a token, the dashboard's session, or the builder."""

import hmac

from django.conf import settings
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission

from controller.models import User


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: token <40 hex>`; the scheme's case doesn't matter."""

    def authenticate(self, request):
        scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
        if scheme.lower() != "token":
            return None
        token = token.strip()
        if not token:
            raise AuthenticationFailed("Invalid token header. No credentials provided.")
        if " " in token:
            raise AuthenticationFailed("Invalid token header. Token string should not contain spaces.")
        user = User.objects.filter(token_digest=User.digest(token)).first()
        if user is None:
            raise AuthenticationFailed("Invalid token.")
        if not user.is_active:
            raise AuthenticationFailed("User inactive or deleted.")
        return user, token

    def authenticate_header(self, request):
        return "Token"


class SessionAuthentication(authentication.SessionAuthentication):
    """The dashboard's cookie; unsafe methods need the CSRF token."""


class FromBuilder(BasePermission):
    """Only who knows the builder's key."""

    def has_permission(self, request, view):
        offered = request.headers.get("X-Deis-Builder-Auth", "")
        return hmac.compare_digest(offered.encode(), settings.BUILDER_KEY.encode())
