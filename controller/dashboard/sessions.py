"""Signing in and out, with the password and the throttle that the API has."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from controller.actions.auth import log_in
from controller.actions.sessions import begin
from controller.dashboard.edge import dressed, sentence
from controller.errors import Invalid, PaasError
from controller.models import User
from controller.oidc import sign_out_url
from controller.peer import client_address

HINT = "oidc_id_token"  # in the session of who came in by the provider
WRONG = "That name and password don't belong together."


def sign_in(request: HttpRequest) -> HttpResponse:
    target = safe_target(request, request.POST.get("next") or request.GET.get("next") or "")
    context = {
        "title": "Sign in",
        "next": target,
        "username": "",
        "sign_on": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
    }
    if request.method == "GET" and request.user.is_authenticated:
        return dressed(redirect(target))
    if request.method != "POST":
        return dressed(render(request, "dashboard/login.html", context))
    username, password = request.POST.get("username", "")[:150], request.POST.get("password", "")
    try:
        user = log_in(
            username=username,
            password=password,
            code=request.POST.get("code", "")[:32],
            address=client_address(request),
            via="dashboard",
        )
    except PaasError as exc:
        needs_code = isinstance(exc, Invalid) and "code" in exc.errors
        text = WRONG if isinstance(exc, Invalid) and not needs_code else sentence(exc)
        context |= {"error": text, "username": username, "needs_code": needs_code}
        return dressed(render(request, "dashboard/login.html", context, status=exc.status))
    start_session(request, user)
    return dressed(redirect(target))


def start_session(request: HttpRequest, user: User) -> None:
    """Signs `user` in with this browser."""
    login(request, user)
    note_browser(request, user)


def note_browser(request: HttpRequest, user: User) -> None:
    if not request.session.session_key:
        request.session.save()
    agent = request.headers.get("User-Agent", "")
    begin(user=user, session=request.session.session_key, address=client_address(request), agent=agent)


def safe_target(request: HttpRequest, target: str) -> str:
    """`target`, if it leads to a page here."""
    if target and url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure()):
        return target
    return settings.LOGIN_REDIRECT_URL


def sign_out(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        return dressed(HttpResponseNotAllowed(["POST"]))
    hint = request.session.get(HINT, "")
    logout(request)
    elsewhere = sign_out_url(hint) if hint and settings.OIDC_ISSUER else ""
    if not elsewhere:
        return dressed(redirect("dashboard:login"))
    context = {
        "title": "Signed out",
        "heading": "Signed out",
        "text": f"{settings.OIDC_NAME} still knows you: whoever uses this browser next can come back in without a "
        "password.",
        "url": elsewhere,
        "label": f"Sign out of {settings.OIDC_NAME} too",
    }
    return dressed(render(request, "dashboard/leave.html", context))
