"""The scripts, in a real browser: what moves, moves; the policy stops nothing of ours."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.utils import timezone

from controller.actions.app import scale_app
from controller.actions.build_runs import begin, finish
from controller.builder_api import BuildOutput
from controller.models import App, Event, User
from tests.dashboard.chromium import BINARY, Chromium
from tests.dashboard.conftest import PASSWORD

UNREADABLE, NAMELESS, STRUCTURE = (
    Path(__file__).with_name(f"{name}.js").read_text() for name in ("unreadable", "nameless", "structure")
)

pytestmark = pytest.mark.skipif(BINARY is None, reason="no Chromium on this machine")


@pytest.fixture
def chromium(admin, deployed, live_server, tmp_path):
    """Signed in as admin, with the app `shop`."""
    made = Chromium(tmp_path / "profile")
    made.base = live_server.url
    made.call("Network.setCookie", name="sessionid", value=admin.cookies["sessionid"].value, url=live_server.url)
    yield made
    made.close()


def test_every_page_loads_without_a_complaint(chromium, deployed, monkeypatch):
    monkeypatch.setattr("controller.dashboard.streams.follow_logs", lambda app, count, seconds: iter([]))
    now = timezone.now()
    deployed.usage.create(time=now, minutes=1, requests=9, latency=0.1, types={"web": [1, 0.1, 9e6]})
    tabs = (
        "metrics",
        "releases",
        "config",
        "domains",
        "builds",
        "schedule",
        "autoscale",
        "webhooks",
        "logs/drains",
        "access",
    )
    tabs += tuple(f"settings/{section}" for section in ("", "limits/", "health/", "hooks/", "deploys/", "source/"))
    places = ("keys", "certificates", "account", "teams", "invitations", "config-groups", "pipelines", "activity")
    for page in (
        "/",
        "/apps/shop/",
        *(f"/apps/shop/{tab.strip('/')}/" for tab in tabs),
        *(f"/{place}/" for place in places),
    ):
        chromium.open(chromium.base + page)
        assert chromium.run("getComputedStyle(document.querySelector('.bar')).borderBottomStyle") == "solid"
        assert chromium.run(UNREADABLE) == [], page
        assert chromium.run(NAMELESS) == [], page
        assert chromium.run(STRUCTURE) == [], page
    assert chromium.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_no_page_is_wider_than_the_screen(chromium, deployed, scheme):
    deployed.webhooks.create(owner=deployed.owner, url=f"https://{'long-' * 20}.test/", secret="x")
    begin(app=deployed, by=deployed.owner, source="webhook", origin="https://git.test/" + "x" * 100, ref="y" * 100)
    chromium.call("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True)
    chromium.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    sections = ("", "limits/", "health/", "hooks/", "deploys/", "source/")
    settings = (f"/apps/shop/settings/{section}" for section in sections)
    tabs = (
        f"/apps/shop/{tab}"
        for tab in ("", "metrics/", "webhooks/", "builds/", "builds/1/", "releases/", "config/", "domains/")
    )
    for page in ("/", "/account/", "/certificates/", *tabs, *settings):
        chromium.open(chromium.base + page)
        assert chromium.run("document.documentElement.scrollWidth") <= 360, page
        assert chromium.run(UNREADABLE) == [], page


def press(chromium, key, shift=False):
    text = {"Enter": "\r", "Tab": ""}.get(key, key if len(key) == 1 else "")
    code = {"Enter": 13, "Tab": 9}.get(key, 0)
    common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
    chromium.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
    chromium.call("Input.dispatchKeyEvent", type="keyUp", **common)


NAME_OF_FOCUS = """(one => one.labels?.[0]?.innerText ?? one.getAttribute("aria-label") ?? one.textContent)(
    document.activeElement).trim().replace(/\\s+/g, " ")"""


def tab_to(chromium, name):
    """Presses Tab until the control called `name` has the focus, which shows."""
    passed = []
    for _ in range(80):
        press(chromium, "Tab")
        passed.append(chromium.run(NAME_OF_FOCUS))
        if passed[-1].startswith(name):
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            assert chromium.run(outline) != "none", f"{name} doesn't look focused"
            return
    raise AssertionError(f"no way to {name} by Tab; it passed {passed}")


def test_by_keyboard_alone_one_signs_in_deploys_and_rolls_back(chromium, deployed):
    chromium.call("Network.clearBrowserCookies")
    chromium.open(chromium.base + "/login/")
    for name, text in (("Username", "admin"), ("Password", PASSWORD)):
        if not chromium.run(NAME_OF_FOCUS).startswith(name):
            tab_to(chromium, name)
        chromium.call("Input.insertText", text=text)
    press(chromium, "Enter")
    chromium.wait_for("location.pathname === '/' && document.readyState === 'complete'")
    for name, path in (("shop", "/apps/shop/"), ("Builds", "/apps/shop/builds/")):
        tab_to(chromium, name)
        press(chromium, "Enter")
        chromium.wait_for(f"location.pathname === '{path}' && document.readyState === 'complete'")
    tab_to(chromium, "Image of a registry")
    chromium.call("Input.insertText", text="registry.example.test/shop:2")
    press(chromium, "Enter")
    chromium.wait_for("location.pathname === '/apps/shop/' && document.body.innerText.includes('v3')")
    tab_to(chromium, "Releases")
    press(chromium, "Enter")
    chromium.wait_for("location.pathname === '/apps/shop/releases/' && document.readyState === 'complete'")
    tab_to(chromium, "Roll back to v2")
    press(chromium, "Enter")
    chromium.wait_for("document.activeElement.name === 'only'")
    tab_to(chromium, "Roll back")
    press(chromium, "Enter")
    chromium.wait_for("document.querySelector('[role=status]')?.innerText.includes('v4')")
    assert App.objects.get(name="shop").current_release().summary == "admin rolled back to v2"


def test_a_question_takes_the_focus_and_gives_it_back(chromium, admin):
    admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="GREETING", value="hi")
    chromium.open(chromium.base + "/apps/shop/config/")
    chromium.run("document.querySelector('.ask-first summary').focus()")
    for key in ("Enter", "Escape"):
        text = "\r" if key == "Enter" else ""
        chromium.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, text=text)
        chromium.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)
        wanted = "Remove GREETING" if key == "Enter" else "Remove"
        chromium.wait_for(f"document.activeElement.textContent.trim() === '{wanted}'")


def test_the_output_of_a_build_grows_on_the_page_until_it_is_over(chromium, deployed, monkeypatch):
    said = ["-----> Python app"]
    monkeypatch.setattr(
        "controller.dashboard.build_pages.output_of_build", lambda run, most: BuildOutput("\n".join(said))
    )
    run = begin(app=deployed, by=deployed.owner, source="git-ssh")
    chromium.open(f"{chromium.base}/apps/shop/builds/{run.number}/")
    assert "Python app" in chromium.run("document.getElementById('output').innerText")
    said += [f"line {number}" for number in range(100)]
    chromium.wait_for("document.getElementById('output').innerText.includes('line 99')")
    chromium.wait_for("(e => e.scrollHeight - e.scrollTop - e.clientHeight < 2)(document.getElementById('output'))")
    finish(run, "failed", cause="no lock file")
    chromium.wait_for("document.querySelector('main').innerText.includes('no lock file')")


def test_presses_of_the_stepper_become_one_request(chromium):
    chromium.open(chromium.base + "/apps/shop/")
    chromium.run("for (const n of [1, 2, 3]) document.getElementById('more-web').click()")
    assert chromium.run("document.querySelector('.stepper output').value") == "4"
    chromium.wait_for("document.querySelectorAll('.pods > li').length === 4")
    assert App.objects.get(name="shop").structure["web"] == 4
    assert [event.message for event in Event.objects.filter(message__contains="scaled")] == ["admin scaled pods web=4"]


def test_the_page_follows_what_others_do(chromium, deployed):
    chromium.open(chromium.base + "/apps/shop/")
    scale_app(app=deployed, counts={"web": 2}, by=User.objects.get(username="admin"))
    chromium.wait_for("document.querySelectorAll('.pods > li').length === 2")
    assert "Running 2 processes" in chromium.run("document.querySelector('.app-head').innerText")


def test_a_value_is_revealed_hidden_and_taken_up_for_change(chromium, admin):
    admin.send("/apps/shop/config/", "/apps/shop/config/set/", key="GREETING", value="psst")
    chromium.open(chromium.base + "/apps/shop/config/")
    shown = "document.getElementById('value-GREETING').textContent"
    assert chromium.run(shown) == "••••••••"
    chromium.run("document.querySelector('[data-reveal]').click()")
    chromium.wait_for(f"{shown} === 'psst'")
    chromium.run("document.querySelector('[data-reveal]').click()")
    chromium.wait_for(f"{shown} === '••••••••'")
    chromium.run("document.querySelector('[data-edit]').click()")
    assert chromium.run("document.forms['set-config'].elements.key.value") == "GREETING"


def test_the_log_follows_filters_and_pauses(chromium, monkeypatch):
    stamp = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).isoformat()
    lines = [f"{stamp} shop[web.v2.abc]: GET /{n} <b>\n" for n in range(3)] + [f"{stamp} shop[worker.v2.x]: job\n"]
    monkeypatch.setattr("controller.dashboard.streams.follow_logs", lambda app, count, seconds: iter(lines))
    chromium.call("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
    chromium.open(chromium.base + "/apps/shop/logs/")
    rows = "[...document.querySelectorAll('#log li:not([hidden]) .text')].map((text) => text.textContent)"
    chromium.wait_for(f"{rows}.length === 4")
    assert chromium.run(rows) == ["GET /0 <b>", "GET /1 <b>", "GET /2 <b>", "job"]
    assert chromium.run("document.querySelector('#log time').textContent") == "12:04:05"
    chromium.run("document.getElementById('log-pause').click()")
    assert chromium.run("document.getElementById('log-status').innerText") == "Paused"
    chromium.run(f"{typed('log-filter', '/1')}")
    assert chromium.run(rows) == ["GET /1 <b>"]
    assert chromium.run("document.querySelector('#log mark').textContent") == "/1"
    chromium.run(f"{typed('log-filter', '')}; {typed('log-source', 'worker', 'change')}")
    assert chromium.run(rows) == ["job"]


def typed(field, text, event="input"):
    """The script of typing `text` into a field."""
    element = f"document.getElementById({json.dumps(field)})"
    return f"{element}.value = {json.dumps(text)}; {element}.dispatchEvent(new Event({json.dumps(event)}))"
