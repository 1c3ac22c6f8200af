"""Who calls: the token in a request, checked by the controller for the app it names."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass

from aiohttp import web

from builder.controller_api import Controller
from builder.errors import ControllerError, PushRefused
from builder.refs import parse_repository

REALM = "user name, and an API token as the password"
TOKEN = re.compile(r"[\x21-\x7e]{8,512}")


@dataclass(frozen=True)
class Caller:
    app: str
    user: str
    uuid: str  # of the app
    address: str


def token_of(header: str) -> str:
    """The token of `token X`, `Bearer X`, or of a Basic login's password (or user name, when there is none); or ""."""
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return ""
        value = password if password not in ("", "x-oauth-basic") else user
    elif scheme.lower() not in ("token", "bearer"):
        return ""
    return value if TOKEN.fullmatch(value) else ""


def is_controller(request: web.Request, key: str) -> bool:
    """Whether the request carries the builder's key, which only the controller has."""
    offered = request.headers.get("X-Deis-Builder-Auth", "")
    return bool(key) and hmac.compare_digest(offered.encode(), key.encode())


def address_of(request: web.Request) -> str:
    """The client's address as the router saw it."""
    return request.headers.get("X-Real-IP") or request.remote or ""


async def identify(request: web.Request, controller: Controller) -> Caller:
    """Who may deploy to the app in the request's path.

    Raises: HTTPUnauthorized, HTTPForbidden, HTTPNotFound, HTTPServiceUnavailable, with a sentence as text.
    """
    try:
        app = parse_repository(request.match_info["app"])
    except PushRefused as exc:
        raise web.HTTPNotFound(text=f"{exc}\n") from exc
    if not (token := token_of(request.headers.get("Authorization", ""))):
        raise unauthorized("This needs your login: any user name, and an API token as the password.")
    try:
        user, uuid = await controller.authorize(app, token)
    except ControllerError as exc:
        raise refusal(app, exc) from exc
    return Caller(app, user, uuid, address_of(request))


def refusal(app: str, exc: ControllerError) -> web.HTTPException:
    """What the controller's answer means to the caller."""
    if exc.status == 401:
        return unauthorized("The token is not valid (any more). A password won't do: it must be an API token.")
    if exc.status == 403:
        return web.HTTPForbidden(text=f"You may not push to {app}. {exc}\n")
    if exc.status == 404:
        return web.HTTPNotFound(text=f"There is no app {app}. Make it with: paas create {app}\n")
    return web.HTTPServiceUnavailable(text=f"{exc}\n")


def unauthorized(text: str) -> web.HTTPUnauthorized:
    return web.HTTPUnauthorized(text=f"{text}\n", headers={"WWW-Authenticate": f'Basic realm="{REALM}"'})
