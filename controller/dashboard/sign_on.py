"""Signing in at an OpenID Connect provider, and letting a command line log in from the browser."""

from __future__ import annotations

import time
from dataclasses import asdict
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from controller.actions import audit
from controller.actions.auth import prove_code
from controller.actions.second_factor import has_second_factor
from controller.actions.sign_on import grant_login, user_of_person
from controller.dashboard.edge import CONTENT_POLICY, dressed, error_page, page, sentence
from controller.dashboard.sessions import HINT, safe_target, start_session
from controller.errors import BadRequest, Missing, PaasError
from controller.models import User
from controller.oidc import Begun, SignOnFailed, authorization_url, check_sender, person_of
from controller.peer import client_address

KEPT_AS = "oidc"  # in the session
PENDING = "oidc_pending"  # there too: who still has to type a code
CODE_WITHIN = 300  # seconds


def begin(request: HttpRequest) -> HttpResponse:
    """Sends the browser to the provider: to sign in, or, from the form on one's account, to connect the identity.

    Whose account it shall be connected to is kept from that form on: a link that somebody is lured to connects nothing.
    """
    if not settings.OIDC_ISSUER:
        raise Http404
    connects = request.method == "POST" and request.user.is_authenticated
    target = safe_target(request, request.POST.get("next", "") or request.GET.get("next", ""))
    if request.user.is_authenticated and not connects:
        return dressed(redirect(target))
    begun = Begun.fresh()
    try:
        url = authorization_url(begun)
    except SignOnFailed as exc:
        return refused(request, exc)
    request.session[KEPT_AS] = {**asdict(begun), "next": target, "connects": request.user.pk if connects else None}
    if connects:  # the policy of the form's page lets no answer to it lead elsewhere; a page of its own may
        return leave(request, f"On to {settings.OIDC_NAME}", url, f"Connect with {settings.OIDC_NAME}", at_once=True)
    return dressed(redirect(url))


def leave(request: HttpRequest, heading: str, url: str, label: str, text: str = "", at_once: bool = False):
    """A page with the way to the provider."""
    context = {"title": heading, "heading": heading, "text": text, "url": url, "label": label, "at_once": at_once}
    return dressed(render(request, "dashboard/leave.html", context))


def come_back(request: HttpRequest) -> HttpResponse:
    """The provider sent the browser back, with a code or with an error."""
    if not settings.OIDC_ISSUER:
        raise Http404
    kept = request.session.pop(KEPT_AS, None)
    if kept is None or request.GET.get("state", "") != kept["state"]:
        return refused(request, SignOnFailed("this sign-in was not begun in this browser, or long ago"))
    try:
        check_sender(request.GET.get("iss", ""))
        if "code" not in request.GET:
            raise SignOnFailed((request.GET.get("error_description") or request.GET.get("error", "no code"))[:300])
        person = person_of(request.GET["code"], Begun(kept["state"], kept["nonce"], kept["verifier"]))
        user = user_of_person(person, whom_to_connect(request, kept.get("connects")))
    except SignOnFailed as exc:
        return refused(request, exc)
    except PaasError as exc:
        return dressed(error_page(request, BadRequest(str(exc))))
    if kept.get("connects") is not None:
        note(request, user, "connect a sign-in")
        messages.success(request, f"You can sign in with {settings.OIDC_NAME} from now on.")
    elif has_second_factor(user):
        waits = {"user": user.pk, "hint": person.id_token, "next": kept["next"], "until": time.time() + CODE_WITHIN}
        request.session[PENDING] = waits
        return dressed(redirect("dashboard:sign-on-code"))
    else:
        enter(request, user, person.id_token)
    return dressed(redirect(kept["next"]))


def second_step(request: HttpRequest) -> HttpResponse:
    """Asks who came back from the provider for the code that their account here wants besides."""
    waits = request.session.get(PENDING)
    if not settings.OIDC_ISSUER or waits is None or waits["until"] < time.time():
        return dressed(redirect("dashboard:login"))
    context = {"title": "Sign in"}
    if request.method != "POST":
        return dressed(render(request, "dashboard/code.html", context))
    user = User.objects.filter(pk=waits["user"], is_active=True).first()
    try:
        if user is None:
            raise Missing("User")
        prove_code(user, request.POST.get("code", "")[:32], client_address(request))
    except PaasError as exc:
        context["error"] = sentence(exc)
        return dressed(render(request, "dashboard/code.html", context, status=exc.status))
    del request.session[PENDING]
    enter(request, user, waits["hint"])
    return dressed(redirect(waits["next"]))


def enter(request: HttpRequest, user: User, id_token: str) -> None:
    start_session(request, user)
    request.session[HINT] = id_token
    note(request, user, "log in")


def note(request: HttpRequest, user: User, action: str) -> None:
    audit.note(actor=user.username, via=settings.OIDC_NAME, address=client_address(request), action=action)


def whom_to_connect(request: HttpRequest, pk: int | None) -> User | None:
    """Who asked for it, if they are still signed in. Raises: SignOnFailed."""
    if pk is not None and request.user.pk != pk:
        raise SignOnFailed("who asked to connect it is no longer signed in here")
    return request.user if pk is not None else None


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
