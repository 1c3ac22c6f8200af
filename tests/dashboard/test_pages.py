"""What a person sees and does, by HTTP."""

import re
from html import unescape

import pytest

from controller.actions import operations
from controller.actions.auth import Failures
from controller.errors import Throttled
from controller.models import App, Key, Operation, Release


def text_of(response):
    return response.content.decode()


def words(response):
    """What a reader sees: no tags, single blanks."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", text_of(response)))).strip()


def test_a_stranger_is_sent_to_sign_in_and_then_on_to_the_page(browser, deployed):
    answer = browser.get("/apps/shop/config/")
    assert answer.headers["Location"] == "/login/?next=/apps/shop/config/"
    token = browser.get("/login/?next=/apps/shop/config/").context["csrf_token"]
    fields = {"username": "admin", "password": "correct horse", "next": "/apps/shop/config/"}
    answer = browser.post("/login/", {**fields, "csrfmiddlewaretoken": str(token)}, follow=True)
    assert answer.redirect_chain == [("/apps/shop/config/", 302)]


def test_signing_in_leads_to_no_foreign_site(browser, admin):
    token = browser.get("/login/").context["csrf_token"]
    for target in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        fields = {"username": "admin", "password": "correct horse", "next": target, "csrfmiddlewaretoken": str(token)}
        assert browser.post("/login/", fields).headers["Location"] == "/"
        token = browser.get("/keys/").context["csrf_token"]


def test_a_wrong_password_is_said_in_a_sentence_and_the_name_stays(browser, admin):
    answer = browser.send("/login/", "/login/", username="admin", password="wrong")
    assert answer.status_code == 400
    assert "That name and password don't belong together." in answer.context["error"]
    assert 'value="admin"' in text_of(answer)
    assert "sessionid" not in browser.cookies


def test_too_many_wrong_passwords_are_refused_as_by_the_api(browser, admin, monkeypatch):
    def refuse(self):
        raise Throttled("Too many failed logins", 300)

    monkeypatch.setattr(Failures, "refuse_if_many", refuse)
    answer = browser.send("/login/", "/login/", username="admin", password="correct horse")
    assert answer.status_code == 429
    assert "wait 5 minutes" in words(answer)


def test_signing_out_ends_the_session(admin):
    admin.send("/", "/logout/")
    assert admin.get("/").status_code == 302


def test_a_form_without_its_token_does_nothing(admin):
    answer = admin.post("/apps/", {"name": "forged"})
    assert answer.status_code == 403
    assert "reload it, and try again" in words(answer)
    assert not App.objects.exists()


def test_no_page_allows_scripts_or_styles_of_others(admin, browser, deployed):
    for page in ("/", "/apps/shop/", "/apps/shop/logs/", "/apps/none/", "/keys/"):
        policy = admin.get(page).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=", text_of(admin.get(page)))
    assert "frame-ancestors 'none'" in browser.get("/login/").headers["Content-Security-Policy"]


def test_an_empty_platform_shows_how_to_begin(admin):
    assert "No app yet" in words(admin.get("/"))


def test_a_new_app_shows_how_to_push(admin):
    answer = admin.send("/", "/apps/", name="hello")
    assert answer.redirect_chain == [("/apps/hello/", 302)]
    assert "git remote add deis ssh://git@paas.localhost:2222/hello.git" in text_of(answer)
    assert "paas login http://paas.localhost:8080 &amp;&amp; paas keys:add" in text_of(answer)
    assert "Add your SSH key" in words(answer)


def test_a_bad_name_is_explained_and_nothing_is_made(admin):
    answer = admin.send("/", "/apps/", name="Bad Name")
    assert answer.status_code == 400
    assert "lowercase letters, digits and hyphens" in words(answer)
    assert not App.objects.exists()


def test_the_list_shows_state_release_and_address(admin, deployed):
    seen = words(admin.get("/"))
    assert "shop shop.paas.localhost:8080 Running 1 process v2" in seen


def test_the_list_asks_the_same_number_of_queries_for_many_apps(admin, deployed, django_assert_max_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as few:
        admin.get("/")
    for number in range(5):
        admin.send("/", "/apps/", name=f"app-{number}")
    with CaptureQueriesContext(connection) as many:
        admin.get("/")
    assert len(many) == len(few)


def test_many_apps_come_in_pages_and_are_found_by_name(admin, deployed, monkeypatch):
    monkeypatch.setattr("controller.dashboard.views.APPS_SHOWN", 2)
    for name in ("apple", "banana", "cherry"):
        admin.send("/", "/apps/", name=name)
    first, second = words(admin.get("/")), words(admin.get("/?page=2"))
    assert "apple" in first and "banana" in first and "cherry" not in first and "1 to 2 of 4" in first
    assert "cherry" in second and "shop" in second and "apple" not in second
    found = words(admin.get("/?q=an"))
    assert "banana" in found and "apple" not in found
    assert "No app of yours has “zzz” in its name." in words(admin.get("/?q=zzz"))
    assert admin.get("/?page=none").status_code == 200


def test_when_the_orchestrator_is_away_the_page_says_so(admin, deployed, cluster, monkeypatch):
    from controller.cluster.client import Unreachable

    def away(*args, **kwargs):
        raise Unreachable("gone")

    monkeypatch.setattr(cluster, "list", away)
    answer = admin.get("/apps/shop/")
    assert answer.status_code == 200
    assert "The orchestrator doesn't answer right now" in words(answer)
    assert "State unknown" in words(answer)


def test_scaling_changes_the_count_and_starts_processes(admin, deployed):
    answer = admin.send("/apps/shop/", "/apps/shop/scale/", type="web", count="3")
    assert answer.status_code == 200
    assert App.objects.get(name="shop").structure["web"] == 3
    assert "Running 3 processes" in words(answer)


@pytest.mark.parametrize("count", ["-1", "many", "", "100000"])
def test_a_bad_count_changes_nothing(admin, deployed, count):
    answer = admin.send("/apps/shop/", "/apps/shop/scale/", type="web", count=count)
    assert answer.status_code == 400
    assert App.objects.get(name="shop").structure["web"] == 1


def test_restarting_reports_the_fresh_processes(admin, deployed):
    answer = admin.send("/apps/shop/", "/apps/shop/restart/", type="web")
    assert "Restarted 1 process." in words(answer)


def test_config_is_masked_until_revealed(admin, deployed):
    answer = admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="GREETING", value="psst\r\nyes")
    assert "GREETING is set; the release with it is on its way." in words(answer)
    assert "psst" not in text_of(answer)
    assert admin.get("/apps/shop/config/values/GREETING/").json() == {"value": "psst\nyes"}
    assert "psst" in text_of(admin.get("/apps/shop/config/?reveal=GREETING"))
    answer = admin.send("/apps/shop/config/", "/apps/shop/config/unset/", key="GREETING")
    assert "GREETING is removed" in words(answer)
    assert admin.get("/apps/shop/config/values/GREETING/").status_code == 404


def test_a_refused_variable_stays_in_the_form(admin, deployed):
    answer = admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="1X", value="typed already")
    assert answer.status_code == 400
    assert "begins with no digit" in words(answer)
    assert "typed already" in text_of(answer)
    answer = admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="PORT", value="http")
    assert "PORT can only be a numeric value" in words(answer)


def test_rolling_back_makes_a_release_of_the_old_one(admin, deployed):
    admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="A", value="1")
    answer = admin.send("/apps/shop/releases/", "/apps/shop/releases/rollback/", version="2")
    assert "v4, with code and config of v2, is on its way." in words(answer)
    assert "admin rolled back to v2" in words(answer)
    assert Release.objects.get(version=4).config.values == {}


def test_only_what_can_be_rolled_back_to_offers_it(admin, deployed):
    admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="A", value="1")
    Release.objects.filter(version=2).update(failed=True, exception="error: web crashed with exit code 1")
    page = text_of(admin.get("/apps/shop/releases/"))
    assert "web crashed with exit code 1" in page
    assert 'id="back-' not in page


def test_a_failed_release_is_told_with_its_reason(admin, deployed):
    admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="A", value="1")
    Release.objects.filter(version=3).update(failed=True, exception="error: nothing listens on port 5000")
    assert "v3 failed; v2 is still live. nothing listens on port 5000" in words(admin.get("/apps/shop/"))


def test_a_deploy_under_way_is_shown_and_closes_the_steppers(admin, deployed):
    release = deployed.current_release()
    Operation.objects.create(
        app=deployed, release=release, by=release.owner, kind="deploy", state="running", said="web 1/3"
    )
    page = admin.get("/apps/shop/")
    assert "Deploying v2" in words(page) and "Bringing v2 live: web 1/3" in words(page)
    assert re.search(r'id="more-web"[^>]*disabled', text_of(page))
    answer = admin.send("/apps/shop/", "/apps/shop/scale/", type="web", count="2")
    assert answer.status_code == 409
    assert "already in progress" in words(answer)
    assert operations.unfinished(deployed) is not None


def test_a_process_that_is_not_up_tells_why(admin, deployed, cluster):
    pod = cluster.all("Pod", "shop")[0]
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    ended = {"terminated": {"exitCode": 3, "reason": "Error"}}
    pod["status"]["conditions"] = []
    pod["status"]["containerStatuses"] = [{"restartCount": 4, "state": waiting, "lastState": ended}]
    cluster.list = lambda kind, namespace, *rest, **more: ([pod], "1")
    seen = words(admin.get("/apps/shop/"))
    assert "Failing, 0 of 1 up" in seen
    assert "web crashed with exit code 3" in seen


def test_domains_come_and_go(admin, deployed):
    answer = admin.send("/apps/shop/domains/", "/apps/shop/domains/add/", domain="www.example.test")
    assert "shop answers under www.example.test." in words(answer)
    assert 'href="http://www.example.test:8080"' in text_of(answer)
    answer = admin.send("/apps/shop/domains/", "/apps/shop/domains/add/", domain="-bad-.test")
    assert answer.status_code == 400
    assert "Hostname does not look valid" in words(answer)
    answer = admin.send("/apps/shop/domains/", "/apps/shop/domains/remove/", domain="www.example.test")
    assert "shop no longer answers under www.example.test." in words(answer)


def test_what_people_name_things_is_never_markup(admin, deployed):
    answer = admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="X", value="<script>alert(1)</script>")
    assert "<script>alert" not in text_of(admin.get("/apps/shop/config/?reveal=X"))
    answer = admin.send("/apps/shop/domains/", "/apps/shop/domains/add/", domain="<img src=x onerror=alert(1)>")
    assert "<img src=x" not in text_of(answer)


def test_live_parts_answer_only_when_something_changed(admin, deployed):
    for part in ("/live/", "/apps/shop/live/head/", "/apps/shop/live/processes/", "/apps/shop/live/releases/"):
        first = admin.get(part)
        assert first.status_code == 200
        again = admin.get(part, headers={"X-Seen": first.headers["X-Version"]})
        assert (again.status_code, again.content) == (204, b"")


@pytest.mark.parametrize("part", ["processes", "releases", "head"])
def test_a_page_knows_the_version_of_its_live_part(admin, deployed, part):
    page = {"processes": "/apps/shop/", "releases": "/apps/shop/releases/", "head": "/apps/shop/"}[part]
    html = text_of(admin.get(page))
    version = re.search(rf'/live/{part}/" data-version="(\w+)"', html)[1]
    assert admin.get(f"/apps/shop/live/{part}/", headers={"X-Seen": version}).status_code == 204


def test_the_whole_log_is_searched_without_a_stream(admin, deployed, monkeypatch):
    asked = []

    def read(app, count, query):
        asked.append(query)
        return "2026-01-02T03:04:05+00:00 deis[router]: at=error status=502\n"

    monkeypatch.setattr("controller.dashboard.views.read_logs", read)
    answer = admin.get("/apps/shop/logs/?grep=502&source=router&since=&ps=")
    assert asked == [{"grep": "502", "source": "router"}]
    assert "03:04:05 router at=error status=502" in words(answer)
    assert b"data-stream" not in answer.content and b"logs.js" not in answer.content
    wrong = admin.get("/apps/shop/logs/?since=yesterday")
    assert wrong.status_code == 200 and "yesterday is no time" in words(wrong)


def test_logs_are_shown_in_columns_and_streamed_as_events(admin, deployed, monkeypatch):
    lines = (
        "2026-01-02T03:04:05+00:00 shop[web.v2.abc]: hello <b>\n2026-01-02T03:04:06+00:00 deis[controller]: ERROR no\n"
    )
    monkeypatch.setattr("controller.dashboard.views.read_logs", lambda app, count: lines)
    monkeypatch.setattr("controller.dashboard.streams.follow_logs", lambda app, count, seconds: iter([lines, "\n"]))
    assert "03:04:05 web.v2.abc hello <b> 03:04:06 platform ERROR no" in words(admin.get("/apps/shop/logs/"))
    answer = admin.get("/apps/shop/logs/stream/")
    assert answer.headers["Content-Type"] == "text/event-stream"
    body = b"".join(answer.streaming_content).decode()
    assert body.count("data: ") == 2 and '"source": "web.v2.abc"' in body and ": still here" in body


def test_destroying_needs_the_name(admin, deployed):
    answer = admin.send("/apps/shop/settings/", "/apps/shop/settings/destroy/", confirm="shp")
    assert answer.status_code == 400
    assert App.objects.exists()
    answer = admin.send("/apps/shop/settings/", "/apps/shop/settings/destroy/", confirm="shop")
    assert "shop is destroyed." in words(answer)
    assert not App.objects.exists()


def test_maintenance_goes_on_and_off(admin, deployed):
    answer = admin.send("/apps/shop/settings/", "/apps/shop/settings/maintenance/", on="true")
    assert "Visitors see the maintenance page." in words(answer)
    assert "Maintenance" in words(admin.get("/"))
    answer = admin.send("/apps/shop/settings/", "/apps/shop/settings/maintenance/", on="false")
    assert "Visitors reach the app again." in words(answer)


def test_keys_come_and_go_and_private_ones_are_refused(admin):
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIcT5VDnRTOEfVAmQ2OoYXcAGI7S0zsyp0P0wkqh+1fx a@b"
    answer = admin.send("/keys/", "/keys/add/", name="laptop", public=public)
    assert "laptop is added" in words(answer)
    answer = admin.send("/keys/", "/keys/add/", name="x", public="-----BEGIN OPENSSH PRIVATE KEY-----")
    assert answer.status_code == 400 and Key.objects.count() == 1
    assert "laptop is removed." in words(admin.send("/keys/", "/keys/remove/", name="laptop"))
