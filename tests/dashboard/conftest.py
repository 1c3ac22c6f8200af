"""A signed-in browser per user, over a cluster in memory."""

import pytest
from django.test import Client

from controller.actions.auth import register
from controller.models import Build
from tests.controller.memory_cluster import MemoryCluster, put_in_place

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def database(transactional_db):
    """Real commits: a deploy begins after them."""


@pytest.fixture(autouse=True)
def cluster(monkeypatch):
    made = MemoryCluster()
    put_in_place(monkeypatch, made)
    monkeypatch.setattr("controller.dashboard.observe.cluster", lambda: made)
    monkeypatch.setattr("controller.cluster.deploy.SETTLE", 0.5)
    return made


class Browser(Client):
    """Django's client with CSRF enforced, as a browser meets it: forms send the token of the page they are on."""

    def __init__(self):
        super().__init__(enforce_csrf_checks=True, raise_request_exception=True)

    def send(self, page, target, /, **fields):
        """Posts `fields` to `target` from the form on `page`, and follows to the next page."""
        token = self.get(page).context["csrf_token"]
        return self.post(target, {**fields, "csrfmiddlewaretoken": str(token)}, follow=True)


@pytest.fixture
def browser():
    return Browser()


@pytest.fixture
def sign_in():
    """Registers (the first is the administrator) and signs in through the page."""

    def signed_in(name):
        register(by=None, username=name, password=PASSWORD)
        browser = Browser()
        answer = browser.send("/login/", "/login/", username=name, password=PASSWORD)
        assert answer.redirect_chain == [("/", 302)]
        return browser

    return signed_in


@pytest.fixture
def admin(sign_in):
    return sign_in("admin")


@pytest.fixture
def deployed(admin):
    """The app `shop` with a build, live as v2."""
    from controller.actions.build import create_build
    from controller.models import App, User

    admin.send("/", "/apps/", name="shop")
    app, by = App.objects.get(name="shop"), User.objects.get(username="admin")
    create_build(
        app=app, by=by, image="shop@sha256:1", sha="4f2a91c0", procfile={"web": "gunicorn shop", "worker": "work"}
    )
    assert Build.objects.count() == 1
    return app


def text_of(response):
    return response.content.decode()
