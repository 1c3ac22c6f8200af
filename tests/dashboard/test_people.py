"""The account's page, an app's people and trail, invitations."""

import re
import time

import pytest

from controller.actions.perms import give_role
from controller.actions.second_factor import STEP, code_at
from controller.models import App, Invitation, User
from tests.dashboard.conftest import PASSWORD, text_of


def test_roles_are_given_and_taken(deployed, admin, sign_in):
    sign_in("helper")
    answer = admin.send("/apps/shop/access/", "/apps/shop/access/give/", username="helper", role="viewer")
    assert "helper is viewer of shop." in text_of(answer)
    assert [(row.user.username, row.role) for row in deployed.collaborators.all()] == [("helper", "viewer")]
    missing = admin.send("/apps/shop/access/", "/apps/shop/access/give/", username="nobody", role="viewer")
    assert "There is nobody, and no team of yours, called nobody." in missing.content.decode().replace("&#x27;", "'")
    admin.send("/apps/shop/access/", "/apps/shop/access/take/", username="helper")
    assert not deployed.collaborators.exists()


def test_a_viewer_sees_neither_config_nor_trail_nor_forms(deployed, admin, sign_in):
    viewer = sign_in("viewer")
    give_role(app=App.objects.get(), username="viewer", role="viewer")
    page = text_of(viewer.get("/apps/shop/access/"))
    assert "Give a role" not in page and "/apps/shop/config/" not in page and "/apps/shop/activity/" not in page
    assert [viewer.get(f"/apps/shop/{tab}/").status_code for tab in ("config", "activity", "logs")] == [403, 403, 200]
    left = viewer.send("/apps/shop/access/", "/apps/shop/access/take/", username="viewer")
    assert left.redirect_chain[0][0] == "/" and not deployed.collaborators.exists()


def test_the_trail_shows_what_was_done(deployed, admin):
    admin.send("/apps/shop/", "/apps/shop/scale/", type="worker", count="1")
    page = text_of(admin.get("/apps/shop/activity/"))
    assert "POST /apps/shop/scale/" in page and "dashboard · 127.0.0.1" in page


def test_a_token_is_shown_once(admin):
    fields = {"name": "ci", "scope": "deploy", "days": "30", "app": ""}
    made = re.search(r"paas_[0-9a-f]{40}", text_of(admin.send("/account/", "/account/tokens/add/", **fields)))
    assert made and made[0] not in text_of(admin.get("/account/"))
    assert User.objects.get().tokens.get().scopes == ["deploy"]
    admin.send("/account/", "/account/tokens/revoke/", name="ci")
    assert not User.objects.get().tokens.exists()


def test_two_factor_is_set_up_and_asked_for(admin, browser):
    wrong = admin.send("/account/", "/account/two-factor/begin/", password="wrong")
    assert "That is not your password." in text_of(wrong)
    begun = admin.send("/account/", "/account/two-factor/begin/", password=PASSWORD)
    assert "<svg" in begun.content.decode() and "style=" not in begun.content.decode()
    page = text_of(begun)
    secret = re.search(r'data-text="([A-Z2-7]{32})"', page)[1]
    step = int(time.time()) // STEP
    done = admin.send("/account/", "/account/two-factor/confirm/", code=code_at(secret, step - 1))
    assert len(set(re.findall(r"\b[0-9a-f]{8}-[0-9a-f]{8}\b", text_of(done)))) == 10
    asked = browser.send("/login/", "/login/", username="admin", password=PASSWORD)
    assert asked.status_code == 400 and 'name="code"' in text_of(asked)
    code = code_at(secret, step)
    answer = browser.send("/login/", "/login/", username="admin", password=PASSWORD, code=code)
    assert answer.redirect_chain == [("/", 302)]


def test_a_new_password_ends_other_sessions(admin, browser):
    browser.send("/login/", "/login/", username="admin", password=PASSWORD)
    short = admin.send("/account/", "/account/password/", password=PASSWORD, new_password="short")
    assert "too short" in text_of(short)
    admin.send("/account/", "/account/password/", password=PASSWORD, new_password="battery horse")
    assert [one.get("/").status_code for one in (admin, browser)] == [200, 302]


@pytest.fixture
def link(admin):
    from controller.actions.invitations import invite

    return invite(by=User.objects.get(), days=1)[1].removeprefix("http://paas.localhost:8080")


def test_an_invitation_makes_an_account_and_signs_in(link, browser):
    token = link.rpartition("=")[2]
    answer = browser.send(link, "/join/", token=token, username="dora", password="short")
    assert answer.status_code == 400 and "too short" in text_of(answer) and token in text_of(answer)
    answer = browser.send(link, "/join/", token=token, username="dora", password="battery horse")
    assert answer.redirect_chain == [("/", 302)] and answer.context["request"].user.username == "dora"
    assert Invitation.objects.get().accepted_by.username == "dora"


def test_mail_is_switched_on_and_off(admin):
    User.objects.update(email="admin@example.test")
    admin.send("/account/", "/account/mail/", on="true")
    assert User.objects.get().mail_subscriptions.count() == 1
    admin.send("/account/", "/account/mail/", on="false")
    assert not User.objects.get().mail_subscriptions.exists()


def test_a_write_only_variable_is_never_shown(deployed, admin):
    fields = {"key": "TOKEN", "value": "s3cret", "secret": "true"}
    page = text_of(admin.send("/apps/shop/config/", "/apps/shop/config/set/", **fields))
    assert "write-only" in page and "s3cret" not in page
    assert "s3cret" not in text_of(admin.get("/apps/shop/config/?reveal=TOKEN"))
    assert admin.get("/apps/shop/config/values/TOKEN/").status_code == 404
