"""The audit trail: an app's in pages, a person's own, and everything for an administrator."""

from controller.actions import audit
from tests.dashboard.test_pages import words


def fill(count, **more):
    fields = {"actor": "admin", "via": "test", "address": "192.0.2.1", "app": "shop"}
    for number in range(count):
        audit.note(**{**fields, "action": f"deed-{number:03}", **more})


def test_an_apps_trail_goes_on_on_older_pages(admin, deployed):
    fill(120)
    first = admin.get("/apps/shop/activity/")
    assert "deed-119" in words(first) and "deed-020" in words(first) and "deed-010" not in words(first)
    second = admin.get(f"/apps/shop/activity/?before={first.context['older']}")
    assert "deed-010" in words(second) and "deed-119" not in words(second) and second.context["older"] is None
    assert admin.get("/apps/shop/activity/?before=nonsense").status_code == 200


def test_an_administrator_sees_everybodys_deeds_and_others_their_own(admin, sign_in):
    helper = sign_in("helper")
    fill(1, actor="admin", action="secret deed", app="")
    fill(1, actor="helper", action="modest deed", app="blue")
    everything = words(admin.get("/activity/"))
    assert "secret deed" in everything and "modest deed" in everything
    found = words(admin.get("/activity/?actor=helper&app=blue"))
    assert "modest deed" in found and "secret deed" not in found
    own = words(helper.get("/activity/"))
    assert "modest deed" in own and "secret deed" not in own
    assert "secret deed" not in words(helper.get("/activity/?actor=admin"))
    assert "Nothing of that kind was done." in words(admin.get("/activity/?app=nothing"))


def test_what_was_refused_is_found_and_the_search_goes_on_on_older_pages(admin, deployed):
    fill(110, status=403)
    fill(110, actor="bob", status=403)
    fill(5, status=201)
    first = admin.get("/apps/shop/activity/?outcome=refused&actor=bob")
    assert len(first.context["entries"]) == 100
    assert {(entry["actor"], entry["outcome"]) for entry in first.context["entries"]} == {("bob", "refused (403)")}
    older = f"?before={first.context['older']}&amp;actor=bob&amp;outcome=refused"
    assert older in first.content.decode()
    second = admin.get(f"/apps/shop/activity/{older.replace('&amp;', '&')}")
    assert len(second.context["entries"]) == 10
    assert {entry["outcome"] for entry in admin.get("/activity/?outcome=done").context["entries"]} == {"done"}
