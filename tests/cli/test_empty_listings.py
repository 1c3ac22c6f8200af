"""An empty listing has its heading, and beside it how the first row is made: on standard error, away from scripts."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("logged_in")
NO_ROWS = {"results": [], "count": 0}


@pytest.mark.parametrize(
    ("topic", "route", "body", "heading", "command"),
    [
        ("apps", "apps/", NO_ROWS, "Apps", "paas create hello"),
        ("keys", "keys/", NO_ROWS, "bob Keys", "paas keys:add"),
        ("tokens", "tokens/", NO_ROWS, "Tokens", "paas tokens:create"),
        ("teams", "teams/", NO_ROWS, "Teams", "paas teams:create"),
        ("invitations", "invitations/", NO_ROWS, "Invitations", "paas invitations:create"),
        ("pipelines", "pipelines/", NO_ROWS, "Pipelines", "paas pipelines:create"),
        ("config:groups", "config-groups/", NO_ROWS, "Config Groups", "paas config:groups:create"),
        ("notifications", "notifications/", {"email": "b@example.com", "mail": []}, "Mail to b@example.com",
         "paas notifications:on"),
        ("config", "apps/hello/config/", {"values": {}}, "hello Config", "paas config:set"),
        ("tags", "apps/hello/config/", {"tags": {}}, "hello Tags", "paas tags:set"),
        ("registry", "apps/hello/config/", {"registry": {}}, "hello Registry", "paas registry:set"),
        ("services", "apps/hello/services/", {"services": []}, "hello Services", "paas services:add"),
        ("whitelist", "apps/hello/whitelist/", {"addresses": []}, "hello Whitelisted Addresses", "paas whitelist:add"),
        ("perms", "apps/hello/perms/", {"users": []}, "hello's Users", "paas perms:create"),
        ("webhooks", "apps/hello/webhooks/", NO_ROWS, "hello Webhooks", "paas webhooks:add"),
        ("cron", "apps/hello/cron/", NO_ROWS, "hello Cron", "paas cron:add"),
        ("runs", "apps/hello/runs/", NO_ROWS, "hello One-off Commands", "paas run:detached"),
        ("logs:drains", "apps/hello/logs/drains/", NO_ROWS, "hello Log Drains", "paas logs:drains:add"),
    ],
)  # fmt: skip
def test_an_empty_listing_says_how_to_begin(platform, paas, topic, route, body, heading, command):
    platform.on(f"GET /v2/{route}", body)
    shown = paas(topic, *(["-a", "hello"] if "apps/hello" in route else []))
    assert (shown.code, shown.out) == (0, f"=== {heading}\n")
    assert command in shown.err


def test_the_rules_of_deploys_line_up(platform, paas):
    platform.on("GET /v2/apps/hello/deploy/", {"surge": None, "unavailable": 0, "set": []})
    surge, unavailable = paas("deploys", "-a", "hello").out.splitlines()[1:3]
    assert surge.index("processes started") == unavailable.index("processes that")


def test_unset_build_settings_are_named(platform, paas):
    platform.on("GET /v2/apps/hello/build-settings/", {"root": "", "paths": [], "submodules": False})
    assert paas("builds:settings", "-a", "hello").out == (
        "=== hello Build Settings\npaths       all of the root\nroot        the top folder\nsubmodules  no\n"
    )
