"""Transcripts of what looks at releases, sets how they go live, promotes and explains."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.usefixtures("logged_in")
RELEASES = "/v2/apps/hello/releases/"


def release(version, **more):
    return {"version": version, "created": f"2026-01-0{version}T00:00:00Z", "summary": f"bob did {version}"} | more


def test_releases_say_what_became_of_each(platform, paas):
    rows = [
        release(4, state="deploying"),
        release(3, state="failed", failed=True, reason="web crashed with exit code 1: boom | more | lines"),
        release(2, state="watched"),
        release(1, state="empty"),
    ]
    platform.page(RELEASES, rows)
    assert paas("releases", "-a", "hello").out == (
        "=== hello Releases\n"
        "v4\t2026-01-04T00:00:00Z\tbob did 4\tbeing deployed\n"
        "v3\t2026-01-03T00:00:00Z\tbob did 3\tfailed: web crashed with exit code 1: boom\n"
        "v2\t2026-01-02T00:00:00Z\tbob did 2\tlive, being watched\n"
        "v1\t2026-01-01T00:00:00Z\tbob did 1\n"
    )


def test_the_newest_release_is_shown_when_none_is_named(platform, paas):
    platform.page(RELEASES, [release(7), release(6)], count=7)
    platform.on(f"GET {RELEASES}v7/", release(7, state="live", owner="bob"))
    said = paas("releases:info", "-a", "hello").out
    assert said.startswith("=== hello Release v7\n") and "summary:  bob did 7\n" in said


def test_a_diff_shows_parts_and_signs(platform, paas):
    changes = {
        "from": 3,
        "to": 7,
        "code": [{"name": "sha", "change": "changed", "before": "a1", "after": "b2"}],
        "procfile": [{"name": "clock", "change": "added", "before": None, "after": "tick"}],
        "config": [
            {"section": "values", "name": "TOKEN", "change": "changed", "before": "…", "after": "…"},
            {"section": "memory", "name": "web", "change": "removed", "before": "64M", "after": None},
        ],
        "formation": [{"name": "web", "change": "changed", "before": 1, "after": 2}],
    }
    platform.on(f"GET {RELEASES}v3/diff/v7/", changes)
    assert paas("releases:diff", "v3", "7", "-a", "hello").out == (
        "=== hello v3 to v7\n"
        "--- Code:\n~ sha  a1 -> b2\n"
        "--- Procfile:\n+ clock  tick\n"
        "--- Config:\n~ TOKEN  (value hidden)\n- memory web  64M\n"
        "--- Formation:\n~ web  1 -> 2\n"
    )


def test_a_diff_without_versions_is_of_the_two_newest(platform, paas):
    platform.page(RELEASES, [release(7), release(6)], count=7)
    parts = {"code": [], "procfile": [], "config": [], "formation": []}
    platform.on(f"GET {RELEASES}v6/diff/v7/", {"from": 6, "to": 7, **parts})
    assert paas("releases:diff", "-a", "hello").out == "=== hello v6 to v7\nNothing differs.\n"


def test_the_output_names_who_spoke(platform, paas):
    lines = [
        {"time": "2026-01-01T00:00:00Z", "source": "step", "text": "Running release: migrate"},
        {"time": "2026-01-01T00:00:01Z", "source": "release", "text": "migrated"},
    ]
    platform.on(f"GET {RELEASES}v7/output/", {"version": 7, "state": "failed", "results": lines, "count": 2})
    assert paas("releases:output", "v7", "-a", "hello").out == (
        "2026-01-01T00:00:00Z Running release: migrate\n2026-01-01T00:00:01Z [release] migrated\n"
    )
    assert paas("releases:output", "v7", "-f", "-a", "hello").code == 1


def test_a_rollback_of_one_half(platform, paas):
    platform.on(f"POST {RELEASES}rollback/", {"version": 9}, status=201)
    assert paas("rollback", "v2", "--code", "-a", "hello").out == "Rolling back the code to v2... done, v9\n"
    assert paas("rollback", "v2", "--config", "-a", "hello").out == "Rolling back the config to v2... done, v9\n"
    assert platform.bodies(f"POST {RELEASES}rollback/") == [
        {"version": 2, "only": "code"},
        {"version": 2, "only": "config"},
    ]
    assert paas("rollback", "--code", "--config", "-a", "hello").code == 2


def test_nobody_waits_who_says_so(platform, paas):
    platform.on("POST /v2/apps/hello/config/", {"values": {"A": "1"}}, status=201)
    platform.on("GET /v2/apps/hello/config/", {"values": {"A": "1"}})
    result = paas("config:set", "A=1", "--no-wait", "-a", "hello")
    assert platform.asked[0].path == "/v2/apps/hello/config/?wait=false"
    assert result.err == "It goes live by itself now; `paas releases:output -f` tells how.\n"
    assert paas("config:set", "A=1", "--wait=false", "-a", "hello").err == result.err


def test_ctrl_c_cancels_what_it_began(platform, paas, monkeypatch):
    from cli.client import Client

    asked = Client.request

    def interrupted(self, method, where, *args, **options):
        if where.endswith("/scale/"):
            raise KeyboardInterrupt
        return asked(self, method, where, *args, **options)

    monkeypatch.setattr(Client, "request", interrupted)
    platform.on("POST /v2/apps/hello/deploy/cancel/", {"kind": "scale", "release": 7, "back_to": 6})
    result = paas("scale", "web=3", "-a", "hello")
    assert result.code == 130
    assert "v7 is cancelled; v6 goes on." in result.err


RULES = {
    "surge": None, "unavailable": 0, "timeout": 120, "release_timeout": 600, "watch": 300, "rollback": False,
    "errors": 50, "set": ["watch", "rollback"],
}  # fmt: skip


def test_how_releases_go_live_is_shown_and_set(platform, paas):
    platform.on("GET /v2/apps/hello/deploy/", RULES)
    platform.on("POST /v2/apps/hello/deploy/", RULES, status=201)
    shown = paas("deploys", "-a", "hello").out.splitlines()
    assert shown[0] == "=== hello Deploys"
    assert [line.split("  ")[0] for line in shown[1:]] == [
        "surge", "unavailable", "timeout", "release-timeout", "watch", "rollback", "errors",
    ]  # fmt: skip
    assert "one per node (default)" in shown[1] and "0 (default)" in shown[2]
    assert "off   " in shown[6] and "(default)" not in shown[5]
    paas("deploys:set", "surge=25%", "watch=300", "rollback=off", "release-timeout=60", "-a", "hello")
    paas("deploys:unset", "watch", "-a", "hello")
    assert platform.bodies("POST /v2/apps/hello/deploy/") == [
        {"surge": "25%", "watch": 300, "rollback": False, "release_timeout": 60},
        {"watch": None},
    ]


@pytest.mark.parametrize("pair", ["nonsense=1", "watch=long", "rollback=maybe"])
def test_a_bad_setting_is_wrong_usage_and_asks_nothing(platform, paas, pair):
    assert paas("deploys:set", pair, "-a", "hello").code == 2
    assert platform.asked == []


@pytest.mark.parametrize("words", [("deploys:cancel",), ("releases:cancel",)])
def test_cancelling(platform, paas, words):
    platform.on("POST /v2/apps/hello/deploy/cancel/", {"kind": "deploy", "release": 7, "back_to": 6})
    assert paas(*words, "-a", "hello").out == "Cancelling... done, v7 is cancelled, v6 goes on\n"


def test_promoting_tells_what_became_of_each_app(platform, paas):
    results = [
        {"app": "qa", "version": 4, "state": "live", "reason": ""},
        {"app": "prod", "version": 9, "state": "failed", "reason": "web crashed"},
    ]
    platform.on("POST /v2/apps/hello/promote/", {"app": "hello", "version": 3, "results": results}, status=201)
    result = paas("promote", "--to=qa,prod", "--release=v3", "-a", "hello")
    assert (result.code, result.out) == (1, "Promoting hello... 1 of 2 failed\nqa v4: live\nprod v9: web crashed\n")
    assert platform.bodies("POST /v2/apps/hello/promote/") == [{"to": ["qa", "prod"], "version": 3}]


def test_pipelines(platform, paas):
    stages = [
        {"name": "staging", "apps": [{"app": "shop-s", "version": 3, "sha": "a1b2c3d4e5", "image": "x"}]},
        {"name": "production", "apps": [{"app": "shop", "version": None, "sha": "", "image": ""}]},
    ]
    platform.page("/v2/pipelines/", [{"name": "shop"}])
    platform.on("GET /v2/pipelines/shop/", {"name": "shop", "stages": stages})
    platform.on("POST /v2/pipelines/", {"name": "shop"}, status=201)
    platform.on("POST /v2/pipelines/shop/apps/", {}, status=201)
    platform.on("DELETE /v2/pipelines/shop/apps/hello/", status=204)
    platform.on("DELETE /v2/pipelines/shop/", status=204)
    assert paas("pipelines").out == "=== Pipelines\nshop\n"
    assert paas("pipelines:info", "shop").out == (
        "=== shop Pipeline\n--- staging:\nshop-s  v3  a1b2c3d4\n--- production:\nshop  -  nothing yet\n"
    )
    assert paas("pipelines:create", "shop", "--stages=a, b").out == "Creating pipeline shop... done\n"
    assert platform.bodies("POST /v2/pipelines/") == [{"name": "shop", "stages": ["a", "b"]}]
    added = paas("pipelines:add", "shop", "--stage=a", "-a", "hello")
    assert added.out == "Adding hello to shop as a... done\n"
    assert paas("pipelines:add", "shop", "-a", "hello").code == 2
    assert paas("pipelines:remove", "shop", "-a", "hello").out == "Removing hello from shop... done\n"
    assert paas("pipelines:destroy", "shop", "--confirm=shop").out == "Removing pipeline shop... done\n"
    assert paas("pipelines:destroy", "shop", "--confirm=other").code == 1


def test_explain_shows_evidence_and_what_helps(platform, paas):
    finding = {
        "level": "error", "code": "process_crash", "text": "web crashed with exit code 1: boom",
        "evidence": ["1 process: hello-web-1"], "fix": "`paas rollback -a hello`",
    }  # fmt: skip
    answer = {"app": "hello", "summary": "1 thing may not be as you wish", "findings": [finding]}
    platform.on("GET /v2/apps/hello/explain/", answer)
    result = paas("explain", "-a", "hello")
    assert (result.code, result.out) == (
        1,
        "=== hello: 1 thing may not be as you wish\n- web crashed with exit code 1: boom\n"
        "    1 process: hello-web-1\n    What helps: `paas rollback -a hello`\n",
    )
    fine = {"app": "hello", "summary": "everything is as you wish", "findings": []}
    platform.on("GET /v2/apps/hello/explain/", fine)
    assert paas("explain", "-a", "hello").out == "=== hello: everything is as you wish\n"
    assert json.loads(paas("explain", "-a", "hello", "--json").out) == fine


REFUSED = "release: exit code 1: no such table"
FAILED_V3 = {"version": 3, "failed": True, "exception": f"error: {REFUSED}", "summary": "", "created": ""}


@pytest.mark.parametrize(
    ("releases", "told"),
    [
        ([FAILED_V3, {"version": 2, "failed": False}], f"{REFUSED}. v3 stays in the list as failed; v2 is current."),
        ([FAILED_V3, {**FAILED_V3, "version": 2}], f"{REFUSED}. v3 stays in the list as failed."),
        ([{**FAILED_V3, "exception": "error: something else"}, {"version": 2, "failed": False}], f"{REFUSED}."),
        ([{"version": 2, "failed": False, "exception": None}], f"{REFUSED}."),
    ],
)
def test_a_refused_change_says_what_it_left_behind(platform, paas, releases, told):
    platform.on("POST /v2/apps/hello/config/", {"detail": REFUSED}, 400)
    platform.page("/v2/apps/hello/releases/", releases)
    result = paas("config:set", "A=1", "-a", "hello")
    assert (result.code, result.err) == (1, f"Error: {told}\n")


def test_a_refusal_of_an_app_that_cannot_be_looked_at_is_told_as_it_is(platform, paas):
    platform.on("POST /v2/apps/hello/releases/rollback/", {"detail": "Cannot roll back to initial release."}, 400)
    result = paas("rollback", "v1", "-a", "hello")
    assert result.err == "Error: Cannot roll back to initial release. `paas releases` lists the others.\n"
