"""Every route, tried as everybody: the table says who gets in."""

import pytest

from controller.access import level_of
from controller.actions.auth import store_digest
from controller.actions.perms import give_role
from controller.actions.teams import create_team
from controller.api.urls import urlpatterns
from controller.models import App, TeamAccess, User
from controller.models.roles import LEVELS, OWNER, ROLES
from tests.controller.harness import API
from tests.controller.permission_table import ADMIN, BUILDER, OPEN, ROWS, SIGNED_IN, Row

PEOPLE = ("stranger", *ROLES, "admin")
METHODS = ("get", "post", "put", "patch", "delete")


def made(name: str, **fields) -> API:
    user = User(username=name, email=f"{name}@example.test", **fields)
    user.set_unusable_password()
    user.save()
    return API(store_digest(user).token())


@pytest.fixture
def people(push):
    """An API for a stranger, for each role on the app blue, and for an administrator."""
    apis = {"admin": made("admin", is_superuser=True, is_staff=True)}
    apis |= {name: made(name) for name in PEOPLE if name != "admin"}
    assert apis[OWNER].post("/v2/apps/", {"id": "blue"}).status_code == 201
    assert push(user=OWNER).status_code == 200
    for role in ROLES[:-1]:
        give_role(app=App.objects.get(), username=role, role=role)
    create_team(by=User.objects.get(username="admin"), name="painters")
    apis["admin"].post("/v2/config-groups/", {"name": "shared"})
    return apis


def send(api: API, row: Row) -> int:
    method = {"GET": api.get, "POST": api.post, "DELETE": api.delete}[row.method]
    args = (f"/v2/{row.path}",) if row.method == "GET" else (f"/v2/{row.path}", row.body)
    return method(*args).status_code


def allowed(row: Row) -> tuple[str, ...]:
    """Who gets in, the least first."""
    if row.least in (OPEN, SIGNED_IN):
        return PEOPLE
    if row.least in (ADMIN, BUILDER):
        return (row.least,)
    return PEOPLE[PEOPLE.index(row.least) :]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_route_lets_in_whom_the_table_says(row, people, anonymous, builder):
    insiders = allowed(row)
    if row.least != OPEN:
        assert send(anonymous, row) == 401
    people[BUILDER] = builder
    outsiders = {name: send(people[name], row) for name in PEOPLE if name not in insiders}
    assert outsiders == dict.fromkeys(outsiders, row.denied)
    assert send(people[insiders[0]], row) == row.success
    later = {name: send(people[name], row) for name in insiders[1:]}
    assert not [name for name, status in later.items() if status in (401, 403) and name != OWNER], later


def test_every_route_has_a_row():
    served = {
        (str(pattern.pattern), method.upper())
        for pattern in urlpatterns
        for method in METHODS
        if hasattr(pattern.callback.view_class, method)
    }
    told = {(route_of(row.path), row.method) for row in ROWS}
    assert served - told == set(), "say in permission_table.py who may use these"


def route_of(path: str) -> str:
    return next(str(pattern.pattern) for pattern in urlpatterns if pattern.pattern.match(path.partition("?")[0]))


@pytest.mark.parametrize("row", [row for row in ROWS if row.path.startswith("apps/blue/")], ids=str)
def test_an_app_that_is_not_there_is_absent_for_everybody(row, sign_in):
    api = sign_in("someone")
    absent = Row(row.method, row.path.replace("blue", "gone", 1), row.least, body=row.body)
    assert send(api, absent) == 404


def test_a_team_gives_its_members_the_higher_of_two_roles(people, sign_in):
    app, owner = App.objects.get(), User.objects.get(username=OWNER)
    stranger, viewer = (User.objects.get(username=name) for name in ("stranger", "viewer"))
    team = create_team(by=owner, name="crew")
    for user in (stranger, viewer):
        people[OWNER].post("/v2/teams/crew/members/", {"username": user.username})
    TeamAccess.objects.create(app=app, team=team, role="developer")
    assert [level_of(user, app) for user in (stranger, viewer)] == [LEVELS["developer"]] * 2
    assert people["stranger"].get("/v2/apps/").json()["count"] == 1
    assert people["stranger"].post("/v2/apps/blue/scale/", {"worker": 1}).status_code == 204
    people[OWNER].delete("/v2/teams/crew/members/stranger")
    assert people["stranger"].get("/v2/apps/blue/").status_code == 403
    assert people["stranger"].get("/v2/apps/").json()["count"] == 0


def test_an_owner_by_role_may_do_what_the_owner_may(people):
    people[OWNER].post("/v2/apps/blue/access/", {"username": "stranger", "role": "owner"})
    assert people["stranger"].post("/v2/apps/blue/perms/", {"username": "viewer"}).status_code == 201
    assert people["stranger"].delete("/v2/apps/blue/").status_code == 204
