"""Who may see and do what: the same door as the API's."""

from controller.actions.perms import give_role, grant

PAGES = [
    "",
    "releases/",
    "config/",
    "domains/",
    "logs/",
    "access/",
    "activity/",
    "settings/",
    "releases/v2/",
    "explain/",
    "live/head/",
    "live/processes/",
    "live/releases/",
]
WRITES = {
    "scale/": {"type": "web", "count": "2"},
    "restart/": {"type": "web"},
    "config/set/": {"key": "A", "value": "1"},
    "config/unset/": {"key": "A"},
    "releases/rollback/": {"version": "2"},
    "domains/add/": {"domain": "x.example.test"},
    "domains/remove/": {"domain": "shop"},
    "settings/maintenance/": {"on": "true"},
    "access/give/": {"username": "admin", "role": "viewer"},
    "access/take/": {"username": "nobody"},
    "settings/destroy/": {"confirm": "shop"},
}
OWNERS_ONLY = {"domains/remove/", "access/give/", "access/take/", "settings/destroy/"}


def statuses_of_writes(browser):
    return {
        target: browser.send("/keys/", f"/apps/shop/{target}", **fields).status_code
        for target, fields in WRITES.items()
    }


def test_another_users_app_is_refused_on_every_page(deployed, sign_in):
    stranger = sign_in("stranger")
    pages = [*PAGES, "config/values/A/", "logs/stream/"]
    assert {page: stranger.get(f"/apps/shop/{page}").status_code for page in pages} == dict.fromkeys(pages, 403)


def test_another_users_app_is_changed_by_no_form(deployed, sign_in):
    assert statuses_of_writes(sign_in("stranger")) == dict.fromkeys(WRITES, 403)
    deployed.refresh_from_db()
    assert deployed.structure == {"web": 1}
    assert deployed.releases.count() == 2
    assert [domain.domain for domain in deployed.domains.all()] == ["shop"]


def test_a_collaborator_changes_but_never_removes(deployed, sign_in):
    helper = sign_in("helper")
    grant(app=deployed, username="helper")
    expected = {target: 403 if target in OWNERS_ONLY else 200 for target in WRITES}
    assert statuses_of_writes(helper) == expected


def test_others_apps_are_not_listed(deployed, sign_in):
    assert b"shop" not in sign_in("stranger").get("/").content


def test_nobody_signed_in_reaches_nothing(deployed, browser):
    for page in PAGES:
        assert browser.get(f"/apps/shop/{page}").headers["Location"].startswith("/login/?next="), page
    token = browser.get("/login/").context["csrf_token"]
    for target, fields in WRITES.items():
        answer = browser.post(f"/apps/shop/{target}", {**fields, "csrfmiddlewaretoken": str(token)})
        assert answer.headers["Location"] == "/login/?next=/", target
    assert deployed.releases.count() == 2


def test_a_missing_app_is_not_found_on_every_page(admin):
    for page in PAGES:
        answer = admin.get(f"/apps/none/{page}")
        assert answer.status_code == 404 and b"Not here" in answer.content, page


def test_forms_are_only_posted(deployed, admin):
    statuses = {target: admin.get(f"/apps/shop/{target}").status_code for target in WRITES}
    assert statuses == dict.fromkeys(WRITES, 405)


def test_a_viewer_is_offered_no_button_that_would_be_refused(deployed, sign_in):
    viewer = sign_in("viewer")
    give_role(app=deployed, username="viewer", role="viewer")
    for page in ("", "live/processes/", "releases/", "live/releases/", "releases/v2/"):
        text = viewer.get(f"/apps/shop/{page}").content.decode()
        main = text.partition("<main")[2] or text
        assert "<form" not in main, page
    assert "1 wanted" in viewer.get("/apps/shop/").content.decode()
