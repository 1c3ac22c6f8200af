"""Where requests enter and answers leave: who is signed in, errors as pages, headers of every page."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render

from controller.actions import audit
from controller.errors import Forbidden, Missing, NotFound, PaasError
from controller.peer import client_address

log = logging.getLogger(__name__)

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

View = Callable[..., HttpResponse]
Next = tuple[tuple[Any, ...], str]
"""After a write: the route to go to with its arguments, and the sentence to say there ("": none)."""


def dressed(response: HttpResponse) -> HttpResponse:
    """`response` with the headers that every page carries."""
    response.headers["Content-Security-Policy"] = CONTENT_POLICY
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


def page(view: View) -> View:
    """A page for whoever is signed in; what goes wrong becomes a page that says so."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return dressed(HttpResponseNotAllowed(["GET", "HEAD"]))
        if not request.user.is_authenticated:
            return dressed(redirect_to_login(request.get_full_path()))
        try:
            return dressed(view(request, *args, **kwargs))
        except PaasError as exc:
            return dressed(error_page(request, exc))

    return wrapped


def write(show: View) -> Callable[[View], View]:
    """A form's target: the view does it and answers with what comes `Next`, or with a page shown this once.

    What goes wrong is said on the page `show`, with what was typed still there.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method != "POST":
                return dressed(HttpResponseNotAllowed(["POST"]))
            if not request.user.is_authenticated:
                return dressed(redirect_to_login("/"))
            entry = audit.begin(
                actor=request.user.username,
                via="dashboard",
                address=client_address(request),
                action=f"{request.method} {request.path}",
                app=kwargs.get("app", ""),
                detail=audit.summarize(request.POST.dict()),
            )
            response = answer(request, *args, **kwargs)
            audit.end(entry, response.status_code)
            return response

        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                done = view(request, *args, **kwargs)
            except (Missing, Forbidden) as exc:
                return dressed(error_page(request, exc))
            except PaasError as exc:
                return dressed(complaint(request, exc, *args, **kwargs))
            if isinstance(done, HttpResponse):
                return dressed(done)
            target, text = done
            if text:
                messages.success(request, text)
            return dressed(redirect(*target))

        def complaint(request: HttpRequest, exc: PaasError, *args: Any, **kwargs: Any) -> HttpResponse:
            messages.error(request, sentence(exc))
            request.complaints = getattr(exc, "errors", {})  # by field; templatetags/fields.py shows them there
            try:
                response = show(request, *args, **kwargs, entered=request.POST)
            except PaasError as refusal:  # a form that couldn't be read, of somebody who may not see its page
                return error_page(request, refusal)
            response.status_code = exc.status
            return response

        return wrapped

    return decorate


def error_page(request: HttpRequest, exc: PaasError) -> HttpResponse:
    heading = "That didn't work"
    text, command = sentence(exc), ""
    if isinstance(exc, Forbidden):
        heading = "Not yours"
        text = "Your role doesn't allow that. Whoever owns it can give you a larger one:"
        command = f"paas access:grant {request.user.username} developer"
    elif isinstance(exc, Missing | NotFound):
        heading, text = "Not here", "There is no such thing on this platform, or no longer."
    context = {"title": heading, "heading": heading, "text": text, "command": command}
    return render(request, "dashboard/error.html", context, status=exc.status)


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The answer to a form without its token: mostly a page that was open while its reader signed in again."""
    text = "This page was older than your login. Go back, reload it, and try again."
    context = {"title": "Reload the page", "heading": "Reload the page", "text": text}
    return dressed(render(request, "dashboard/error.html", context, status=403))


def sentence(exc: PaasError) -> str:
    """The error's words as a sentence: fields' names are for programs."""
    errors = getattr(exc, "errors", None)
    text = " ".join(line for lines in errors.values() for line in lines) if errors else str(exc)
    return ended(text[:1].upper() + text[1:])


def ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
