"""What an app does by itself, and where its log goes."""

import pytest

from controller.actions.events import record
from controller.models import LogDrain
from tests.dashboard.test_pages import text_of, words

ENTRY = {"command": "python nightly.py", "schedule": "0 3 * * *", "name": "nightly", "policy": "forbid"}


def test_a_command_is_scheduled_run_paused_and_removed(admin, deployed, cluster):
    assert "paas cron:add" in words(admin.get("/apps/shop/schedule/"))
    page = words(admin.send("/apps/shop/schedule/", "/apps/shop/schedule/add/", **ENTRY))
    assert "nightly runs at 0 3 * * * (UTC)." in page
    where = "/apps/shop/schedule/of/nightly/"
    assert "It has not run yet." in words(admin.get(where))
    admin.send(where, f"{where}run/")
    assert "Running" in words(admin.get(where)) or "Succeeded" in words(admin.get(where))
    admin.send(where, f"{where}pause/", on="true")
    assert cluster.get("CronJob", "shop", "nightly")["spec"]["suspend"] is True
    assert "Resume" in words(admin.get("/apps/shop/schedule/"))
    admin.send(where, f"{where}remove/")
    assert cluster.get("CronJob", "shop", "nightly") is None and admin.get(where).status_code == 404


def test_a_schedule_that_is_none_is_explained(admin, deployed):
    answer = admin.send("/apps/shop/schedule/", "/apps/shop/schedule/add/", **{**ENTRY, "schedule": "61 * * * *"})
    assert answer.status_code == 400 and "is no minute" in words(answer)
    assert 'value="python nightly.py"' in text_of(answer)


def test_runs_that_nobody_can_tell_of_leave_the_entry(admin, deployed, monkeypatch):
    from controller.cluster.client import Unreachable

    admin.send("/apps/shop/schedule/", "/apps/shop/schedule/add/", **ENTRY)

    def away(app, name):
        raise Unreachable("gone")

    monkeypatch.setattr("controller.dashboard.schedule_pages.cron.history", away)
    page = words(admin.get("/apps/shop/schedule/of/nightly/"))
    assert "python nightly.py" in page and "The runs can't be read: gone." in page


def test_a_rule_of_autoscaling_is_set_with_its_history_and_removed(admin, deployed):
    rule = {"type": "web", "min": "2", "max": "5", "by": "requests_per_second", "target": "50"}
    page = words(admin.send("/apps/shop/autoscale/", "/apps/shop/autoscale/set/", **rule))
    assert "web scales by itself, from 2 to 5." in page and "there are 50 requests a second each; 1 now" in page
    record(deployed, "autoscale scaled web from 2 to 3: 143.2 requests a second")
    assert "scaled web from 2 to 3: 143.2 requests a second just now" in words(admin.get("/apps/shop/autoscale/"))
    admin.send("/apps/shop/autoscale/", "/apps/shop/autoscale/remove/", type="web")
    deployed.settings.refresh_from_db()
    assert deployed.settings.autoscale == {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"min": "6"}, "Min of web may not be larger than its max."),
        ({"type": "worker"}, "Only web (or cmd) gets requests from the router"),
        ({"target": "0"}, "greater than or equal to 1"),
    ],
)
def test_a_rule_that_cannot_be_is_explained(admin, deployed, change, why):
    rule = {"type": "web", "min": "2", "max": "5", "by": "latency_ms", "target": "50", **change}
    answer = admin.send("/apps/shop/autoscale/", "/apps/shop/autoscale/set/", **rule)
    assert answer.status_code == 400 and why in words(answer)


def test_a_drain_never_shows_its_password(admin, deployed):
    url = "https://me:hush@logs.invalid/x?token=hush"
    page = text_of(admin.send("/apps/shop/logs/drains/", "/apps/shop/logs/drains/add/", url=url))
    assert "https://me:…@logs.invalid/x?…" in page and "hush" not in page
    wrong = admin.send("/apps/shop/logs/drains/", "/apps/shop/logs/drains/add/", url="logs.invalid")
    assert wrong.status_code == 400 and "That is no address that a log can go to" in words(wrong)
    admin.send("/apps/shop/logs/drains/", "/apps/shop/logs/retention/", days="3", megabytes="")
    assert "3 days." in words(admin.get("/apps/shop/logs/drains/"))
    admin.send("/apps/shop/logs/drains/", "/apps/shop/logs/drains/remove/", drain=str(LogDrain.objects.get().pk))
    assert not LogDrain.objects.exists()
