"""Answers that go on for hours (a followed log, a session in a process) end with the right to them."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIRequestFactory

from controller.actions.auth import regenerate_token
from controller.actions.logs import while_allowed
from controller.api.logs import LogsView
from controller.api.one_offs import ExecView
from controller.models import App, Collaborator, PersonalToken, Team, TeamAccess, User


@pytest.fixture
def carol(blue, sign_in):
    sign_in("carol")
    return User.objects.get(username="carol")


def asked(view, token):
    """`view` as it is while it answers somebody with `token`."""
    made = view()
    made.kwargs = {"app": "blue"}
    made.request = made.initialize_request(APIRequestFactory().get("/", HTTP_AUTHORIZATION=f"token {token}"))
    return made


def test_a_role_that_is_taken_away_ends_them(carol):
    role = Collaborator.objects.create(app=App.objects.get(name="blue"), user=carol, role="collaborator")
    log, session = asked(LogsView, carol.token()), asked(ExecView, carol.token())
    assert log.still_allowed() and session.still_allowed()
    role.role = "viewer"
    role.save()
    assert log.still_allowed() and not session.still_allowed()
    role.delete()
    assert not log.still_allowed()


def test_leaving_the_team_ends_them(carol):
    team = Team.objects.create(name="backend")
    member = team.members.create(user=carol)
    TeamAccess.objects.create(app=App.objects.get(name="blue"), team=team, role="viewer")
    log = asked(LogsView, carol.token())
    assert log.still_allowed()
    member.delete()
    assert not log.still_allowed()


def test_a_token_that_is_revoked_or_over_ends_them(blue):
    made = blue.post("/v2/tokens/", {"name": "ci", "scopes": ["operate"], "app": "blue", "days": 1}).json()
    session = asked(ExecView, made["token"])
    assert session.still_allowed()
    row = PersonalToken.objects.get(name="ci")
    PersonalToken.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert not session.still_allowed()
    PersonalToken.objects.update(expires=row.expires)
    assert session.still_allowed()
    row.delete()
    assert not session.still_allowed()


def test_a_new_login_token_or_a_closed_account_ends_them(blue):
    bob = User.objects.get(username="bob")
    log = asked(LogsView, bob.token())
    assert log.still_allowed()
    User.objects.filter(pk=bob.pk).update(is_active=False)
    assert not log.still_allowed()
    User.objects.filter(pk=bob.pk).update(is_active=True)
    assert log.still_allowed()
    regenerate_token(bob)
    assert not log.still_allowed()


def test_pieces_stop_with_the_right():
    answers = iter([True, False])
    assert list(while_allowed(iter("abcd"), lambda: next(answers), period=0)) == ["a"]
    assert list(while_allowed(iter("abcd"), lambda: False, period=60)) == ["a", "b", "c", "d"]
