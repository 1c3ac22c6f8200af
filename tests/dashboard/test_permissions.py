"""Every page and form, tried as everybody: the table says who gets in."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from controller.actions import build_runs, config_sharing, cron, pipelines, teams
from controller.actions.app import create_app
from controller.actions.build import create_build
from controller.actions.config import change_config
from controller.actions.perms import give_role
from controller.builder_api import BuildOutput
from controller.dashboard.urls import urlpatterns
from controller.models import Certificate, User
from controller.models.notice import Notice, Webhook
from controller.models.roles import OWNER, ROLES
from tests.dashboard.permission_table import ELSEWHERE, FORMS, MEMBER, OPEN, OWN, OWNER_ALONE, PAGES, SIGNED_IN, Row

PEOPLE = ("stranger", *ROLES, "admin")


@pytest.fixture
def people(monkeypatch):
    """A signed-in browser for a stranger, for each role on the app blue, and for an administrator."""
    monkeypatch.setattr("controller.dashboard.build_pages.output_of_build", lambda run, most=0: BuildOutput("built\n"))
    monkeypatch.setattr("controller.dashboard.views.read_logs", lambda app, count: "")
    users = {name: User.objects.create(username=name, is_superuser=name == "admin") for name in PEOPLE}
    User.objects.create(username="extra")
    owner = users[OWNER]
    teams.create_team(by=owner, name="painters")
    teams.add_member(by=owner, team="painters", username="viewer", manager=False)
    config_sharing.create_group(by=owner, name="shared", team="painters")
    config_sharing.change_group(by=owner, name="shared", values={"REGION": "north"})
    pipelines.create_pipeline(by=owner, name="line", stages=["staging", "production"])
    for name, stage in (("green", "staging"), ("blue", "production")):
        app = create_app(by=owner, name=name)
        create_build(app=app, by=owner, image=f"{name}@sha256:1", sha="4f2a91c0", procfile={"web": "run"})
        pipelines.add_app(by=owner, name="line", app=name, stage=stage)
        for role in ROLES[:-1]:
            give_role(app=app, username=role, role="viewer" if name == "green" else role)
    change_config(app=app, changes={"values": {"GREETING": "hi"}}, by=owner)
    cron.add(app=app, by=owner, command="ls", schedule="@daily", name="nightly")
    now = timezone.now()
    Certificate.objects.create(owner=owner, name="www", certificate="x", key="x", expires=now, starts=now)
    build_runs.finish(build_runs.begin(app=app, by=owner, source="git-ssh"), "succeeded")
    hook = Webhook.objects.create(pk=1, app=app, owner=owner, url="https://hooks.test/", secret="secret")
    hook.deliveries.create(pk=1, notice=Notice.objects.create(app=app, event="deploy.failed", text="x"))
    browsers = {name: Client(raise_request_exception=True) for name in PEOPLE}
    for name, browser in browsers.items():
        browser.force_login(users[name])
    return browsers


def send(browser: Client, row: Row) -> int:
    address = reverse(f"dashboard:{row.name}", kwargs=row.path)
    return (browser.get(address) if row.method == "GET" else browser.post(address, row.form)).status_code


def allowed(row: Row) -> tuple[str, ...]:
    """Who gets in, the least first."""
    if row.least in (OPEN, SIGNED_IN):
        return PEOPLE
    if row.least == OWNER_ALONE:
        return (OWNER,)
    if row.least == MEMBER:
        return ("viewer", OWNER, "admin")
    return PEOPLE[PEOPLE.index(row.least) :]


@pytest.mark.parametrize("rows", [PAGES, FORMS, OWN], ids=["pages", "forms", "own"])
def test_a_row_lets_in_whom_the_table_says(rows, people):
    wrong = {}
    for row in rows:
        insiders, nobody = allowed(row), Client()
        if row.least != OPEN and send(nobody, row) != 302:
            wrong[f"{row} as nobody"] = "let in"
        for name in PEOPLE:
            if name not in insiders and (status := send(people[name], row)) not in row.denied:
                wrong[f"{row} as {name}"] = status
        if (status := send(people[insiders[0]], row)) not in row.success:
            wrong[f"{row} as {insiders[0]}"] = status
        if row.name == "destroy":
            continue
        for name in insiders[1:]:
            if (status := send(people[name], row)) in (401, 403) or status >= 500 and 503 not in row.success:
                wrong[f"{row} as {name}"] = status
    assert wrong == {}


def test_a_form_that_is_empty_tells_a_stranger_no_more_than_a_full_one(people):
    rows = [Row("POST", row.name, row.least, row.path) for row in FORMS]
    told = {row.name: send(people["stranger"], row) for row in rows}
    assert {name: status for name, status in told.items() if status not in (403, 404)} == {}


def test_every_route_has_a_row():
    told = {row.name for row in (*PAGES, *FORMS, *OWN)} | ELSEWHERE
    served = {pattern.name for pattern in urlpatterns if pattern.name}
    assert served - told == set(), "say in permission_table.py who may use these"
    assert told - served == set()


def test_pages_of_an_app_that_is_not_there_are_absent(admin):
    rows = [row for row in PAGES if row.path.get("app")]
    gone = {row.name: send(admin, Row("GET", row.name, row.least, {**row.path, "app": "gone"})) for row in rows}
    assert gone == dict.fromkeys(gone, 404)
