"""Teams and invitations: who belongs together, and who is to come."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from controller.actions import invitations as invitation_actions
from controller.actions import teams as actions
from controller.dashboard import forms, pages
from controller.dashboard.edge import Next, page, write
from controller.dashboard.listing import page_of, tabs_of
from controller.dashboard.views import Context, Entered
from controller.errors import BadRequest, Missing
from controller.models import Invitation
from controller.models.roles import ROLES

TABS = (("teams", "Teams"), ("invitations", "Invitations"))


def show_teams(request: HttpRequest, entered: Entered | None = None) -> HttpResponse:
    chosen = page_of(request, actions.visible_teams(request.user))
    context = {"title": "Teams", "place": "teams", "tabs": tabs_of("teams", *TABS), "chosen": chosen}
    return render(request, "dashboard/teams.html", context | {"entered": entered or {}})


teams = page(show_teams)


def show_team(request: HttpRequest, team: str, entered: Entered | None = None) -> HttpResponse:
    found = actions.team_for(request.user, team)
    members = list(found.members.select_related("user").order_by("user__username"))
    mine = next((member for member in members if member.user_id == request.user.pk), None)
    context = {
        "title": found.name,
        "place": "teams",
        "team": found,
        "members": members,
        "accesses": page_of(request, found.accesses.select_related("app").order_by("app__name")),
        "manages": request.user.is_superuser or (mine is not None and mine.manager),
        "entered": entered or {},
    }
    return render(request, "dashboard/team.html", context)


team = page(show_team)


@write(show_teams)
def team_create(request: HttpRequest) -> Next:
    made = actions.create_team(by=request.user, name=forms.read(forms.NewTeam, request)["name"])
    return ("dashboard:team", made.name), f"{made.name} is made, and you manage it. Add people below."


@write(show_team)
def member_add(request: HttpRequest, team: str) -> Next:
    actions.team_for(request.user, team, manage=True)
    fields = forms.read(forms.NewMember, request)
    try:
        member = actions.add_member(by=request.user, team=team, **fields)
    except Missing as exc:
        raise BadRequest(
            f"There is nobody called {fields['username']} here. Invite them first: an invitation can name the team."
        ) from exc
    return ("dashboard:team", team), f"{member.user.username} is {'a manager of' if member.manager else 'in'} {team}."


@write(show_team)
def member_remove(request: HttpRequest, team: str) -> Next:
    name = forms.read(forms.Username, request)["username"]
    mine = name == request.user.username
    actions.remove_member(by=request.user, team=team, username=name)
    target = ("dashboard:teams",) if mine and not request.user.is_superuser else ("dashboard:team", team)
    return target, f"{name} is no longer in {team}."


@write(show_team)
def team_destroy(request: HttpRequest, team: str) -> Next:
    actions.team_for(request.user, team, manage=True)
    confirm = forms.read(forms.Confirmation, request)["confirm"]
    if confirm != team:
        raise BadRequest(f"'{confirm}' is not {team}; nothing was ended.")
    actions.destroy_team(by=request.user, name=team)
    return ("dashboard:teams",), f"{team} is no more; its members have lost the roles they had by it."


# Invitations


def show_invitations(request: HttpRequest, entered: Entered | None = None, **more: object) -> HttpResponse:
    now = timezone.now()
    chosen = page_of(request, invitation_actions.visible_invitations(request.user))
    context = {
        "title": "Invitations",
        "place": "teams",
        "tabs": tabs_of("invitations", *TABS),
        "chosen": chosen,
        "invitations": [invitation_row(row, now) for row in chosen],
        "roles": ROLES,
        "may_invite": settings.REGISTRATION_MODE == "enabled" or request.user.is_superuser,
        "mail_enabled": settings.MAIL_ENABLED,
        "entered": entered or {},
        **more,
    }
    return render(request, "dashboard/invitations.html", context)


def invitation_row(row: Invitation, now: Any) -> Context:
    gives = [f"the team {row.team.name}"] if row.team else []
    gives += [f"{row.role} of {row.app.name}"] if row.app else []
    if row.accepted:
        tone, text = pages.GOOD, f"Accepted by {row.accepted_by.username if row.accepted_by else 'somebody since gone'}"
    elif row.expires <= now:
        tone, text = pages.IDLE, "Expired"
    else:
        tone, text = pages.BUSY, "Open"
    return {
        "number": row.pk,
        "for": row.email or "whoever has the link",
        "by": row.by.username,
        "gives": ", ".join(gives) or "an account",
        "state": {"tone": tone, "text": text},
        "expires": row.expires,
        "created": row.created,
        "ago": pages.ago(row.created, now),
        "open": row.accepted is None,
    }


invitations = page(show_invitations)


@write(show_invitations)
def invite(request: HttpRequest) -> HttpResponse:
    fields = forms.read(forms.NewInvitation, request)
    try:
        row, link = invitation_actions.invite(
            by=request.user, **{**fields, "team": fields["team"] or None, "app": fields["app"] or None}
        )
    except Missing as exc:
        raise BadRequest("There is no such app, or no such team of yours; look at how it is written.") from exc
    return show_invitations(request, link=link, mailed=row.email)


@write(show_invitations)
def take_back(request: HttpRequest) -> Next:
    invitation_actions.take_back(by=request.user, number=forms.read(forms.Number, request)["number"])
    return ("dashboard:invitations",), "The invitation is taken back; its link is good for nothing now."
