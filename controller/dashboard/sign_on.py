"""Signing in at an OpenID Connect provider, and letting a command line log in from the browser."""

from __future__ import annotations

from dataclasses import asdict
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from controller.actions import audit
from controller.actions.sign_on import grant_login, user_of_person
from controller.dashboard.edge import CONTENT_POLICY, dressed, error_page, page, sentence
from controller.dashboard.sessions import safe_target
from controller.errors import BadRequest, PaasError
from controller.oidc import Begun, SignOnFailed, authorization_url, person_of
from controller.peer import client_address

KEPT_AS = "oidc"  # in the session


def begin(request: HttpRequest) -> HttpResponse:
    """Sends the browser to the provider."""
    if not settings.OIDC_ISSUER:
        raise Http404
    begun = Begun.fresh()
    try:
        url = authorization_url(begun)
    except SignOnFailed as exc:
        return refused(request, exc)
    request.session[KEPT_AS] = {**asdict(begun), "next": safe_target(request, request.GET.get("next", ""))}
    return dressed(redirect(url))


def come_back(request: HttpRequest) -> HttpResponse:
    """The provider sent the browser back, with a code or with an error."""
    if not settings.OIDC_ISSUER:
        raise Http404
    kept = request.session.pop(KEPT_AS, None)
    if kept is None or request.GET.get("state", "") != kept["state"]:
        return refused(request, SignOnFailed("this sign-in was not begun in this browser, or long ago"))
    if "code" not in request.GET:
        reason = request.GET.get("error_description") or request.GET.get("error", "no code")
        return refused(request, SignOnFailed(reason[:300]))
    try:
        person = person_of(request.GET["code"], Begun(kept["state"], kept["nonce"], kept["verifier"]))
        signed_in = request.user if request.user.is_authenticated else None
        user = user_of_person(person, signed_in)
    except SignOnFailed as exc:
        return refused(request, exc)
    except PaasError as exc:
        return dressed(error_page(request, BadRequest(str(exc))))
    audit.note(actor=user.username, via=settings.OIDC_NAME, address=client_address(request), action="log in")
    if signed_in is None:
        login(request, user)
    else:
        messages.success(request, f"You can sign in with {settings.OIDC_NAME} from now on.")
    return dressed(redirect(kept["next"]))


def refused(request: HttpRequest, exc: SignOnFailed) -> HttpResponse:
    return dressed(error_page(request, BadRequest(f"Signing in with {settings.OIDC_NAME} failed: {exc}")))


def command_line(request: HttpRequest) -> HttpResponse:
    """Asks whether the command line that opened this page may log in; then hands it a code."""
    if request.method == "POST" and request.user.is_authenticated:
        return hand_over(request)
    response = show_question(request)
    if port := loopback_port(request.GET.get("port", "")):
        allowed = f"form-action 'self' http://127.0.0.1:{port}"  # where the answer to the form leads
        response.headers["Content-Security-Policy"] = CONTENT_POLICY.replace("form-action 'self'", allowed)
    return response


def loopback_port(text: str) -> int | None:
    """The port on which the command line listens on its own machine."""
    return int(text) if text.isascii() and text.isdigit() and 1024 <= int(text[:6]) <= 65535 else None


@page
def show_question(request: HttpRequest) -> HttpResponse:
    given = {name: request.GET.get(name, "") for name in ("challenge", "port", "state")}
    return render(request, "dashboard/command_line.html", {"title": "Log in on the command line", **given})


def hand_over(request: HttpRequest) -> HttpResponse:
    challenge, port, state = (request.POST.get(name, "") for name in ("challenge", "port", "state"))
    entry = audit.begin(
        actor=request.user.username, via="dashboard", address=client_address(request), action="log in a command line"
    )
    try:
        code = grant_login(request.user, challenge)
    except PaasError as exc:
        audit.end(entry, exc.status)
        return dressed(error_page(request, BadRequest(sentence(exc))))
    audit.end(entry, 200)
    context = {"title": "Log in on the command line", "code": code}
    if loopback_port(port) is None:
        return dressed(render(request, "dashboard/command_line.html", context))
    return dressed(redirect(f"http://127.0.0.1:{port}/?{urlencode({'code': code, 'state': state[:200]})}"))
