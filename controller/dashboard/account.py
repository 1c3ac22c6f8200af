"""A person's own page: password, two-factor, tokens, signed-in browsers, mail; and the page of an invitation."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.safestring import mark_safe

from controller.actions import audit, invitations, second_factor, sessions, tokens
from controller.actions.auth import change_password, prove_password
from controller.actions.notices import require_mail
from controller.dashboard import forms, pages
from controller.dashboard.edge import Next, dressed, page, sentence, write
from controller.dashboard.sessions import note_browser, start_session
from controller.dashboard.views import Entered
from controller.errors import BadRequest, PaasError, Unauthorized
from controller.models import MailSubscription, SignIn
from controller.models.token import SCOPES
from controller.peer import client_address

TOKEN_LIVES = (("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "ever"))


def show_account(request: HttpRequest, entered: Entered | None = None, **more: object) -> HttpResponse:
    user = request.user
    context = {
        "title": "Account",
        "place": "account",
        "entered": entered or {},
        "factor": second_factor.state_of(user),
        "tokens": user.tokens.select_related("app").order_by("name"),
        "scopes": SCOPES.items(),
        "chosen_scopes": request.POST.getlist("scope") or ["read"],
        "token_lives": TOKEN_LIVES,
        "mail": user.mail_subscriptions.filter(app=None).exists(),
        "mail_enabled": settings.MAIL_ENABLED,
        "sign_on": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
        "connected": user.identities.exists(),
        "sessions": [session_row(entry, request) for entry in sessions.sessions_of(user)],
        "has_password": user.has_usable_password(),
        **more,
    }
    return render(request, "dashboard/account.html", context)


account = page(show_account)


def session_row(entry: SignIn, request: HttpRequest) -> dict[str, object]:
    return {
        "number": entry.pk,
        "browser": pages.browser_of(entry.agent),
        "agent": entry.agent,
        "address": entry.address,
        "time": entry.time,
        "ago": pages.ago(entry.time, timezone.now()),
        "this": entry.session == request.session.session_key,
    }


@write(show_account)
def password(request: HttpRequest) -> Next:
    fields = forms.read(forms.NewPassword, request)
    try:
        prove_password(request.user, fields["password"], client_address(request))
        change_password(by=request.user, username=None, old=fields["password"], new=fields["new_password"])
    except Unauthorized as exc:
        raise BadRequest(str(exc)) from exc
    request.user.refresh_from_db()
    update_session_auth_hash(request, request.user)  # this browser stays signed in, others don't
    sessions.end_others(user=request.user, but="")
    note_browser(request, request.user)
    return ("dashboard:account",), "Your password is changed."


@write(show_account)
def factor_begin(request: HttpRequest) -> HttpResponse:
    prove_password(request.user, forms.read(forms.Password, request)["password"], client_address(request))
    begun = second_factor.enrol(request.user)
    return show_account(request, enrolment={**begun, "picture": mark_safe(second_factor.svg_of(begun["uri"]))})


@write(show_account)
def factor_confirm(request: HttpRequest) -> HttpResponse:
    codes = second_factor.confirm(request.user, forms.read(forms.Code, request)["code"])
    return show_account(request, recovery_codes=codes)


@write(show_account)
def factor_off(request: HttpRequest) -> Next:
    if not second_factor.check_code(request.user, forms.read(forms.Code, request)["code"]):
        raise BadRequest(second_factor.WRONG)
    second_factor.turn_off(request.user)
    return ("dashboard:account",), "Two-factor is off."


@write(show_account)
def token_add(request: HttpRequest) -> HttpResponse:
    fields = forms.read(forms.NewToken, request)
    _, text = tokens.create_token(
        user=request.user, name=fields["name"], scopes=fields["scope"], days=fields["days"], app=fields["app"] or None
    )
    return show_account(request, made=text, made_name=fields["name"])


@write(show_account)
def token_revoke(request: HttpRequest) -> Next:
    name = forms.read(forms.TokenName, request)["name"]
    tokens.revoke_token(user=request.user, name=name)
    return ("dashboard:account",), f"{name} is revoked."


@write(show_account)
def mail(request: HttpRequest) -> Next:
    rows = request.user.mail_subscriptions.filter(app=None)
    if forms.read(forms.Switch, request)["on"] != "true":
        rows.delete()
        return ("dashboard:account",), "You get no more mail about every app."
    require_mail(request.user)
    MailSubscription.objects.get_or_create(user=request.user, app=None)
    return ("dashboard:account",), f"Mail about your apps goes to {request.user.email}."


@write(show_account)
def mail_address(request: HttpRequest) -> Next:
    request.user.email = forms.read(forms.MailAddress, request)["email"]
    request.user.save(update_fields=["email"])
    return ("dashboard:account",), "Your mail address is changed."


@write(show_account)
def session_end(request: HttpRequest) -> Next:
    sessions.end(user=request.user, number=forms.read(forms.Number, request)["number"])
    return ("dashboard:account",), "That browser is signed out."


@write(show_account)
def sessions_end(request: HttpRequest) -> Next:
    count = sessions.end_others(user=request.user, but=request.session.session_key)
    return ("dashboard:account",), f"{count} other browser{'s are' if count != 1 else ' is'} signed out."


def join(request: HttpRequest) -> HttpResponse:
    """Makes an account from an invitation; who is signed in accepts it as themselves."""
    token = request.POST.get("token") or request.GET.get("token", "")
    known = request.user if request.user.is_authenticated else None
    context = {"title": "Join", "token": token, "known": known, "entered": request.POST}
    if request.method != "POST":
        return dressed(render(request, "dashboard/join.html", context))
    try:
        given = {} if known else forms.read(forms.Joining, request)
        user = invitations.accept(token=token, by=known, **given)
    except PaasError as exc:
        context["error"] = sentence(exc)
        return dressed(render(request, "dashboard/join.html", context, status=exc.status))
    address = client_address(request)
    audit.note(actor=user.username, via="invitation", address=address, action="accept an invitation")
    if known is None:
        start_session(request, user)
    return dressed(redirect("dashboard:apps"))
