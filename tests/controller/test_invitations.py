"""Invitations: good once, for a while, for what they say."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from controller.models import App, Invitation

NEW = {"username": "dora", "password": "battery horse"}


@pytest.fixture
def closed(settings):
    settings.REGISTRATION_MODE = "disabled"


@pytest.fixture
def link(blue, admin, closed):
    def made(**body):
        answer = admin.post("/v2/invitations/", body)
        assert answer.status_code == 201, answer.content
        return answer.json()["link"]

    return made


def accept(api, link, **body):
    return api.post("/v2/invitations/accept/", {"token": link, **(body or NEW)})


def test_a_link_makes_one_account_where_nobody_may_register(link, anonymous):
    assert anonymous.post("/v2/auth/register/", {**NEW, "email": ""}).status_code == 403
    address = link()
    assert address.startswith("http://paas.localhost:8080/join/?token=")
    assert accept(anonymous, address).status_code == 201
    assert anonymous.post("/v2/auth/login/", NEW).status_code == 200
    again = accept(anonymous, address, username="eve", password="battery horse")
    assert again.status_code == 400 and "used up" in again.json()["token"][0]


def test_a_refused_acceptance_does_not_use_it_up(link, anonymous):
    address = link()
    for body in ({"username": "admin", "password": "battery horse"}, {"username": "dora", "password": "short"}):
        assert accept(anonymous, address, **body).status_code == 400
    assert accept(anonymous, address).status_code == 201


def test_it_gives_what_it_says(link, admin, anonymous, sign_in):
    admin.post("/v2/teams/", {"name": "crew"})
    accept(anonymous, link(team="crew", app="blue", role="viewer"))
    app = App.objects.get()
    assert [(row.user.username, row.role) for row in app.collaborators.all()] == [("dora", "viewer")]
    assert "dora" in [row["username"] for row in admin.get("/v2/teams/crew/").json()["members"]]


def test_somebody_known_accepts_as_themselves_and_never_loses_by_it(link, admin, sign_in, settings):
    settings.REGISTRATION_MODE = "enabled"
    carol = sign_in("carol")
    admin.post("/v2/apps/blue/access/", {"username": "carol", "role": "operator"})
    assert carol.post("/v2/invitations/accept/", {"token": link(app="blue", role="viewer")}).status_code == 200
    assert App.objects.get().collaborators.get().role == "operator"


def test_it_expires_and_can_be_taken_back(link, admin, anonymous):
    old, taken = link(), link()
    Invitation.objects.order_by("id").filter(pk=Invitation.objects.last().pk).update(
        expires=timezone.now() - timedelta(seconds=1)
    )
    numbers = [row["id"] for row in admin.get("/v2/invitations/").json()["results"]]
    assert admin.delete(f"/v2/invitations/{numbers[0]}").status_code == 204
    assert [accept(anonymous, address).status_code for address in (old, taken)] == [400, 400]


def test_an_address_gets_it_by_mail(link):
    address = link(email="dora@example.test")
    assert [message.to for message in mail.outbox] == [["dora@example.test"]]
    assert address in mail.outbox[0].body and "admin invites you" in mail.outbox[0].subject


def test_without_a_mail_server_the_link_has_to_do(admin, settings):
    settings.MAIL_ENABLED = False
    answer = admin.post("/v2/invitations/", {"email": "dora@example.test"})
    assert answer.status_code == 400 and "pass on the link" in answer.json()["detail"]


def test_who_may_invite(blue, sign_in, closed, settings):
    assert blue.post("/v2/invitations/", {}).status_code == 403
    settings.REGISTRATION_MODE = "enabled"
    assert blue.post("/v2/invitations/", {"app": "blue", "role": "viewer"}).status_code == 201
    assert sign_in("carol").post("/v2/invitations/", {"app": "blue", "role": "viewer"}).status_code == 403


def test_only_a_hash_is_kept(link, admin):
    token = link().rpartition("=")[2]
    assert token not in str(Invitation.objects.values())
    assert "link" not in admin.get("/v2/invitations/").json()["results"][0]
