"""An app's people: the tab Access, and its forms."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from controller.access import OWN, READ, app_for, may
from controller.actions import perms
from controller.dashboard import forms
from controller.dashboard.edge import Next, page, write
from controller.dashboard.observe import Observed
from controller.dashboard.views import Context, Entered, app_page
from controller.errors import BadRequest, Forbidden, Missing
from controller.models import App
from controller.models.roles import ROLES


def access_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    people = app.collaborators.order_by("user__username").values_list("user__username", "role")
    teams = app.teams.order_by("team__name").values_list("team__name", "role")
    rows = [{"kind": "username", "name": name, "shown": name, "role": role} for name, role in people]
    rows += [{"kind": "team", "name": name, "shown": f"team {name}", "role": role} for name, role in teams]
    return {"people": rows, "roles": ROLES, "may_own": may(request.user, app, OWN), "me": request.user.username}


def show_access(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return app_page(request, app, "access", "dashboard/access.html", access_context, entered)


access = page(show_access)


@write(show_access)
def access_give(request: HttpRequest, app: str) -> Next:
    found = app_for(request.user, app, OWN)
    fields = forms.read(forms.Role, request)
    name, role = fields["username"], fields["role"]
    try:
        if team := name.removeprefix("team ") if name.startswith("team ") else "":
            perms.give_team_role(app=found, by=request.user, team=team.strip(), role=role)
        else:
            perms.give_role(app=found, username=name, role=role)
    except Missing as exc:
        raise BadRequest(f"There is nobody, and no team of yours, called {name}.") from exc
    return ("dashboard:access", app), f"{name} is {role} of {app}."


@write(show_access)
def access_take(request: HttpRequest, app: str) -> Next:
    fields = forms.read(forms.RoleTaken, request)
    mine = fields["username"] == request.user.username
    found = app_for(request.user, app, READ if mine else OWN)
    try:
        if fields["team"]:
            perms.take_team_role(app=found, team=fields["team"])
        else:
            perms.revoke(app=found, username=fields["username"])
    except (Missing, Forbidden) as exc:
        raise BadRequest(f"{fields['team'] or fields['username']} has no role on {app} that could be taken.") from exc
    target = ("dashboard:apps",) if mine else ("dashboard:access", app)
    return target, f"{fields['team'] or fields['username']} has no role on {app} any more."
