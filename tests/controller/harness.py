"""An API client per user, over a cluster in memory; tests speak HTTP only."""

import json
from datetime import timedelta
from unittest import mock

import pytest
from django.db import connection, transaction
from django.test import Client, TransactionTestCase

from controller.actions import deliveries
from controller.models import Delivery
from tests.controller import described
from tests.controller.memory_cluster import MemoryCluster, put_in_place

KEPT_TABLES = (
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "controller_auditentry",
    "controller_auditoutcome",
)


def delete_everything(test_case):
    """Empties the tables by DELETE: Django's own way, TRUNCATE and all migration signals, takes ten times as long."""
    tables = connection.introspection.django_table_names(only_existing=True)
    with transaction.atomic(), connection.cursor() as cursor:
        for table in set(tables) - set(KEPT_TABLES):
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


@pytest.fixture
def quick_flush():
    with mock.patch.object(TransactionTestCase, "_fixture_teardown", delete_everything):
        yield


@pytest.fixture(autouse=True)
def database(quick_flush, transactional_db):
    """Real commits: what happens after them is part of what is tested."""


@pytest.fixture(autouse=True)
def cluster(monkeypatch):
    made = MemoryCluster()
    put_in_place(monkeypatch, made)
    monkeypatch.setattr("controller.cluster.deploy.SETTLE", 0.5)
    return made


class API:
    """Requests as Deis clients send them."""

    def __init__(self, token=None, headers=None):
        self._client = Client(raise_request_exception=False)
        self._headers = headers or ({"Authorization": f"token {token}"} if token else {})
        self.token = token

    def get(self, path, **headers):
        return self._send("GET", path, None, headers)

    def post(self, path, body=None, **headers):
        return self._send("POST", path, body, headers)

    def delete(self, path, body=None):
        return self._send("DELETE", path, body, {})

    def _send(self, method, path, body, headers):
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self._client.generic(
            method, path, data, content_type="application/json", headers={**self._headers, **headers}
        )
        if not answer.streaming:
            described.check(method, path, answer.status_code, answer.headers.get("Content-Type", ""), answer.content)
        return answer


@pytest.fixture
def anonymous():
    return API()


@pytest.fixture
def sign_in():
    """Registers a user (the first is the administrator) and gives an API that is signed in."""

    def signed_in(username, password="correct horse"):
        body = {"username": username, "password": password, "email": f"{username}@example.test"}
        assert API().post("/v2/auth/register/", body).status_code == 201
        answer = API().post("/v2/auth/login/", {"username": username, "password": password})
        return API(answer.json()["token"])

    return signed_in


@pytest.fixture
def admin(sign_in):
    return sign_in("admin")


@pytest.fixture
def bob(admin, sign_in):
    return sign_in("bob")


@pytest.fixture
def builder(settings):
    return API(headers={"X-Deis-Builder-Auth": settings.BUILDER_KEY})


@pytest.fixture
def push(builder):
    """A build as the builder reports it after a git push."""

    def pushed(app="blue", user="bob", sha="a1b2c3d4", procfile=None, **more):
        body = {
            "receive_user": user,
            "receive_repo": app,
            "sha": sha,
            "image": f"127.0.0.1:5000/{app}@sha256:{sha:0<64}",
            "procfile": {"web": "python app.py", "worker": "python work.py"} if procfile is None else procfile,
            "dockerfile": "",
            **more,
        }
        return builder.post("/v2/hooks/build/", body)

    return pushed


@pytest.fixture
def blue(bob):
    """An app of bob's without a build."""
    assert bob.post("/v2/apps/", {"id": "blue"}).status_code == 201
    return bob


@pytest.fixture
def live(blue, push):
    """The app, pushed once: v2 with one web process."""
    assert push().status_code == 200
    return blue


def later(seconds):
    """As if so much time had passed for the notices that wait."""
    for row in Delivery.objects.filter(state=Delivery.QUEUED):
        Delivery.objects.filter(pk=row.pk).update(next_try=row.next_try - timedelta(seconds=seconds))
    deliveries.deliver_due()
