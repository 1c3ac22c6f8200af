from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from controller.actions import sessions
from controller.dashboard.pages import browser_of
from controller.models import SignIn, User
from controller.tasks.operations import tidy
from tests.dashboard.conftest import PASSWORD, Browser


def test_tidying_forgets_expired_sessions_and_keeps_the_others(admin):
    kept = Session.objects.get()
    Session.objects.create(session_key="old", session_data="", expire_date=timezone.now() - timedelta(seconds=1))
    tidy()
    assert list(Session.objects.all()) == [kept]
    assert admin.get("/").status_code == 200


def signed_in_again(name, agent, address="192.0.2.9"):
    browser = Browser()
    browser.defaults |= {"HTTP_USER_AGENT": agent, "REMOTE_ADDR": address}
    assert browser.send("/login/", "/login/", username=name, password=PASSWORD).status_code == 200
    return browser


def is_signed_in(browser):
    return browser.get("/account/").status_code == 200


def test_the_account_lists_the_browsers_that_are_signed_in(admin, sign_in):
    sign_in("bob")
    signed_in_again("admin", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    shown = [(row["browser"], row["this"]) for row in admin.get("/account/").context["sessions"]]
    assert shown == [("Firefox on Linux", False), ("A browser", True)]


def test_one_browser_is_signed_out_from_another(admin):
    other = signed_in_again("admin", "Firefox")
    number = next(row["number"] for row in admin.get("/account/").context["sessions"] if not row["this"])
    admin.send("/account/", "/account/sessions/end/", number=number)
    assert not is_signed_in(other)
    assert is_signed_in(admin)


def test_nobody_signs_somebody_else_out(admin, sign_in):
    bob = sign_in("bob")
    number = bob.get("/account/").context["sessions"][0]["number"]
    assert admin.send("/account/", "/account/sessions/end/", number=number).status_code == 404
    assert is_signed_in(bob)


def test_all_others_are_signed_out_at_once(admin, sign_in):
    bob, others = sign_in("bob"), [signed_in_again("admin", "Firefox") for _ in range(3)]
    page = admin.send("/account/", "/account/sessions/end-others/")
    assert "3 other browsers are signed out." in page.content.decode()
    assert [is_signed_in(browser) for browser in (*others, admin, bob)] == [False, False, False, True, True]


def test_a_new_password_leaves_this_browser_alone_signed_in(admin):
    other = signed_in_again("admin", "Firefox")
    admin.send("/account/", "/account/password/", password=PASSWORD, new_password="battery staple correct")
    assert not is_signed_in(other)
    assert [row["this"] for row in admin.get("/account/").context["sessions"]] == [True]


def test_sessions_that_are_over_are_forgotten(admin):
    Session.objects.update(expire_date=timezone.now() - timedelta(days=1))
    assert sessions.sessions_of(User.objects.get()) == []
    sessions.forget_old_sessions()
    assert not SignIn.objects.exists()


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8", "A browser"),
        ("", "A browser"),
    ],
)
def test_a_browser_is_named_as_far_as_it_tells(agent, name):
    assert browser_of(agent) == name
