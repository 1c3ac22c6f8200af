"""Who may see and do what: the same door as the API's."""

import pytest

from controller.actions.perms import grant

PAGES = [
    "",
    "releases/",
    "config/",
    "domains/",
    "logs/",
    "settings/",
    "live/head/",
    "live/processes/",
    "live/releases/",
]
WRITES = {
    "scale/": {"type": "web", "count": "2"},
    "restart/": {"type": "web"},
    "releases/rollback/": {"version": "2"},
    "config/set/": {"key": "A", "value": "1"},
    "config/unset/": {"key": "A"},
    "domains/add/": {"domain": "x.example.test"},
    "domains/remove/": {"domain": "shop"},
    "settings/maintenance/": {"on": "true"},
    "settings/destroy/": {"confirm": "shop"},
}
OWNERS_ONLY = {"domains/remove/", "settings/destroy/"}


@pytest.mark.parametrize("page", [*PAGES, "config/values/A/", "logs/stream/"])
def test_another_users_app_is_refused(deployed, sign_in, page):
    assert sign_in("stranger").get(f"/apps/shop/{page}").status_code == 403


@pytest.mark.parametrize("target", WRITES)
def test_another_users_app_is_not_changed(deployed, sign_in, target):
    stranger = sign_in("stranger")
    assert stranger.send("/keys/", f"/apps/shop/{target}", **WRITES[target]).status_code == 403
    deployed.refresh_from_db()
    assert deployed.structure == {"web": 1}
    assert deployed.releases.count() == 2
    assert [domain.domain for domain in deployed.domains.all()] == ["shop"]


@pytest.mark.parametrize("target", WRITES)
def test_a_collaborator_changes_but_never_removes(deployed, sign_in, target):

    helper = sign_in("helper")
    grant(app=deployed, username="helper")
    answer = helper.send("/keys/", f"/apps/shop/{target}", **WRITES[target])
    assert (answer.status_code == 403) == (target in OWNERS_ONLY)


def test_others_apps_are_not_listed(deployed, sign_in):
    assert b"shop" not in sign_in("stranger").get("/").content


@pytest.mark.parametrize("page", PAGES)
def test_a_missing_app_is_not_found(admin, page):
    answer = admin.get(f"/apps/none/{page}")
    assert answer.status_code == 404
    assert b"Not here" in answer.content


@pytest.mark.parametrize("target", WRITES)
def test_forms_are_only_posted(deployed, admin, target):
    assert admin.get(f"/apps/shop/{target}").status_code == 405
