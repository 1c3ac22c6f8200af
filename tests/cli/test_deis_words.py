"""What people of Deis read: the words of its commands, each with the request that is behind them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from cli.commands.certs import expiry

pytestmark = pytest.mark.usefixtures("logged_in")
APP = "/v2/apps/hello"
CERT = {
    "name": "www", "common_name": "www.example.test", "san": ["a.test", "b.test"], "domains": ["www.example.test"],
    "expires": "2099-03-02T00:00:00Z", "starts": "2026-01-02T00:00:00Z", "updated": "2026-01-02T03:04:05Z",
    "created": "2026-01-01T03:04:05Z", "owner": "bob", "issuer": "/CN=ca", "subject": "/CN=www.example.test",
    "fingerprint": "AC:82:58:80:EA:C4:B9:75:C1:1C:52:48:40:28:15:1D:47:AC:ED:88:4B:D4:72:95:B2:C0:A0:DF:4A:A7:60:B6",
}  # fmt: skip
PROBE = {
    "initialDelaySeconds": 50, "timeoutSeconds": 50, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3,
    "httpGet": {"port": 5000, "path": "/up", "httpHeaders": [{"name": "X", "value": "y"}]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "asked", "sent", "status", "said"),
    [
        (
            ["certs:attach", "www", "www.example.test"], "POST /v2/certs/www/domain/", {"domain": "www.example.test"},
            201, "Attaching certificate www to domain www.example.test... done\n",
        ),
        (
            ["certs:detach", "www", "www.example.test"], "DELETE /v2/certs/www/domain/www.example.test", None, 204,
            "Detaching certificate www from domain www.example.test... done\n",
        ),
        (["certs:remove", "www"], "DELETE /v2/certs/www", None, 204, "Removing www... done\n"),
        (
            ["autoscale:unset", "web", "-a", "hello"], f"POST {APP}/settings/", {"autoscale": {"web": None}}, 201,
            "Removing autoscale for process type web on hello... done\n",
        ),
        (
            ["routing:enable", "-a", "hello"], f"POST {APP}/settings/", {"routable": True}, 201,
            "Enabling routing for hello... done\n",
        ),
        (
            ["maintenance:off", "-a", "hello"], f"POST {APP}/settings/", {"maintenance": False}, 201,
            "Disabling maintenance mode for hello... done\n",
        ),
        (
            ["tls:enable", "-a", "hello"], f"POST {APP}/tls/", {"https_enforced": True}, 201,
            "Enabling https-only requests for hello... done\n",
        ),
        (
            ["labels:set", "team=core", "-a", "hello"], f"POST {APP}/settings/", {"label": {"team": "core"}}, 201,
            "Applying labels on hello... done\n",
        ),
        (
            ["labels:unset", "team", "-a", "hello"], f"POST {APP}/settings/", {"label": {"team": None}}, 201,
            "Removing labels on hello... done\n",
        ),
        (
            ["whitelist:add", "1.2.3.4,10.0.0.0/8", "-a", "hello"], f"POST {APP}/whitelist/",
            {"addresses": ["1.2.3.4", "10.0.0.0/8"]}, 201, "Adding 1.2.3.4,10.0.0.0/8 to hello whitelist...\ndone\n",
        ),
        (
            ["whitelist:remove", "1.2.3.4", "-a", "hello"], f"DELETE {APP}/whitelist/", {"addresses": ["1.2.3.4"]},
            204, "Removing 1.2.3.4 from hello whitelist...\ndone\n",
        ),
        (
            ["perms:create", "carol", "-a", "hello"], f"POST {APP}/perms/", {"username": "carol"}, 201,
            "Adding carol to hello collaborators... done\n",
        ),
        (
            ["perms:delete", "carol", "-a", "hello"], f"DELETE {APP}/perms/carol", None, 204,
            "Removing carol from hello collaborators... done\n",
        ),
        (
            ["perms:create", "carol", "--admin"], "POST /v2/admin/perms/", {"username": "carol"}, 201,
            "Adding carol to system administrators... done\n",
        ),
        (
            ["perms:delete", "carol", "--admin"], "DELETE /v2/admin/perms/carol", None, 204,
            "Removing carol from system administrators... done\n",
        ),
        (
            ["apps:transfer", "carol", "-a", "hello"], f"POST {APP}/", {"owner": "carol"}, 200,
            "Transferring hello to carol... done\n",
        ),
        (
            ["services:add", "--type", "worker", "--route", "/api", "-a", "hello"], f"POST {APP}/services/",
            {"procfile_type": "worker", "path_pattern": "/api"}, 201, "Adding worker (/api) to hello... done\n",
        ),
        (
            ["services:remove", "worker", "-a", "hello"], f"DELETE {APP}/services/", {"procfile_type": "worker"}, 204,
            "Removing worker from hello... done\n",
        ),
        (["auth:cancel", "--yes"], "DELETE /v2/auth/cancel/", None, 204, "Account cancelled\n"),
        (
            ["passwd", "--password=old one", "--new-password=new one"], "POST /v2/auth/passwd/",
            {"password": "old one", "new_password": "new one"}, 200, "Password change succeeded.\n",
        ),
    ],
)  # fmt: skip
def test_commands_say_what_they_do(platform, paas, words, asked, sent, status, said):
    platform.on(asked, {"status": "ok", "values": {}} if status in (200, 201) else None, status)
    result = paas(*words)
    assert (result.code, result.out, result.err) == (0, said, "")
    assert platform.bodies(asked) == [sent]


def test_certificates_are_a_table(platform, paas):
    platform.page("/v2/certs/", [CERT])
    head, row = paas("certs").out.splitlines()
    assert [word.strip() for word in head.split("  ") if word.strip()] == [
        "Name", "Common Name", "SubjectAltName", "Expires", "Fingerprint", "Domains", "Updated", "Created",
    ]  # fmt: skip
    assert "AC:82[...]60:B6" in row and "a.test,b.test" in row and "2 Jan 2026" in row and "1 Jan 2026" in row


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (datetime(2025, 10, 1, tzinfo=UTC), "2 Jan 2026 (in 3 months)"),
        (datetime(2023, 10, 1, tzinfo=UTC), "2 Jan 2026 (in 2 years)"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2 Jan 2026 (in 1 day)"),
        (datetime(2026, 1, 3, tzinfo=UTC), "2 Jan 2026 (expired)"),
    ],
)
def test_a_certificates_end_in_words(now, said):
    assert expiry("2026-01-02T00:00:00Z", now) == said


def test_a_pulled_ssh_key_can_be_pushed_back(platform, paas, home):
    platform.on(f"POST {APP}/config/", {"values": {}}, 201)
    platform.on(f"GET {APP}/config/", {"values": {}})
    text = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
    (home / "id").write_text(text)
    encoded = base64.b64encode(text.encode()).decode()
    for given in (text, str(home / "id"), encoded):
        assert paas("config:set", f"SSH_KEY={given}", "-a", "hello").code == 0
    assert platform.bodies(f"POST {APP}/config/") == [{"values": {"SSH_KEY": encoded}}] * 3
    for given in ("", "nonsense", "bm9uc2Vuc2U="):
        refused = paas("config:set", f"SSH_KEY={given}", "-a", "hello")
        assert (refused.code, "the path of its file" in refused.err) == (2, True)


def test_detaching_what_is_not_attached(platform, paas):
    platform.on("DELETE /v2/certs/www/domain/a.test", "No Domain matches the given query.", 404)
    result = paas("certs:detach", "www", "a.test")
    text = "Error: www is not attached to a.test; `paas certs:info www` lists its domains.\n"
    assert (result.code, result.err) == (4, text)
    platform.on("DELETE /v2/certs/www/domain/a.test", "No Certificate matches the given query.", 404)
    assert "There is no such certificate" in paas("certs:detach", "www", "a.test").err


def test_healthchecks_are_shown_whole(platform, paas):
    platform.on(f"GET {APP}/config/", {"healthcheck": {"web/cmd": {"livenessProbe": PROBE}}})
    assert paas("healthchecks", "-a", "hello").out == (
        "=== hello Healthchecks\n\nweb/cmd:\n--- Liveness\n"
        "Initial Delay (seconds): 50\nTimeout (seconds): 50\nPeriod (seconds): 10\n"
        "Success Threshold: 1\nFailure Threshold: 3\nExec Probe: N/A\n"
        'HTTP GET Probe: Path="/up" Port=5000 HTTPHeaders=[X:y]\nTCP Socket Probe: N/A\n'
        "\n--- Readiness\nNo readiness probe configured.\n"
    )


def test_a_healthcheck_of_an_old_variable_names_no_port(platform, paas):
    probe = {"httpGet": {"path": "/up"}, "timeoutSeconds": 3}
    platform.on(f"GET {APP}/config/", {"healthcheck": {"web/cmd": {"livenessProbe": probe}}})
    out = paas("healthchecks", "-a", "hello").out
    assert "Timeout (seconds): 3\nPeriod (seconds): default\n" in out
    assert 'HTTP GET Probe: Path="/up" Port=the app\'s HTTPHeaders=[]\n' in out


def test_setting_a_healthcheck_shows_it(platform, paas):
    platform.on(f"POST {APP}/config/", {"values": {}}, 201)
    platform.on(f"GET {APP}/config/", {"healthcheck": {"web": {"livenessProbe": PROBE}}})
    shown = paas("healthchecks:set", "liveness", "httpGet", "5000", "--type=web", "-a", "hello").out
    assert shown.startswith("Applying livenessProbe healthcheck... done\n\n=== hello Healthchecks\n\nweb:\n")
    gone = paas("healthchecks:unset", "readiness", "--type=web", "-a", "hello").out
    assert gone.startswith("Removing healthchecks... done\n\n=== hello Healthchecks\n")


def test_services_are_two_columns(platform, paas):
    rows = [{"procfile_type": "api", "path_pattern": "/api"}, {"procfile_type": "worker", "path_pattern": "/jobs"}]
    platform.on(f"GET {APP}/services/", {"services": rows})
    assert paas("services", "-a", "hello").out == "=== hello Services\napi        /api\nworker     /jobs\n"


@pytest.mark.parametrize("words", [("auth",), ("git",), ("auth", "--help"), ("git", "-h")])
def test_a_topic_with_nothing_to_list_prints_its_help(paas, words):
    result = paas(*words)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"{words[0]}: ") and f"  {words[0]}:" in result.out


def test_an_unknown_verb_of_such_a_topic_is_wrong_usage(paas):
    for words in (("auth", "nonsense"), ("auth:nonsense",), ("auth", "--nonsense")):
        result = paas(*words)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("Error: Found no command 'auth")


def test_sections_of_config_say_what_they_apply(platform, paas):
    platform.on(f"POST {APP}/config/", {"values": {}}, 201)
    sections = {"tags": {"disk": "ssd"}, "registry": {"username": "bob"}, "termination_grace_period": {"web": "60"}}
    platform.on(f"GET {APP}/config/", sections)
    assert paas("tags:set", "disk=ssd", "-a", "hello").out == "Applying tags... done\n\n=== hello Tags\ndisk      ssd\n"
    assert paas("registry:set", "username=bob", "-a", "hello").out == (
        "Applying registry information... done\n\n=== hello Registry\nusername      bob\n"
    )
    assert paas("timeouts:set", "web=60", "-a", "hello").out == (
        "Applying timeouts... done\n\n=== hello Timeouts (sec)\nweb      60\n"
    )
    assert platform.bodies(f"POST {APP}/config/") == [{name: values} for name, values in sections.items()]
    assert paas("registry:set", "hostname=x", "-a", "hello").code == 2


def test_builds_are_made_and_listed(platform, paas):
    platform.on(f"POST {APP}/builds/", {"uuid": "u1", "image": "example/go:1"}, 201)
    assert paas("pull", "example/go:1", "-a", "hello").out == "Creating build... done\n"
    assert platform.bodies(f"POST {APP}/builds/") == [{"image": "example/go:1"}]
    platform.page(f"{APP}/builds/", [{"uuid": "u1", "created": "2026-01-02T03:04:05Z"}], count=3)
    listed = paas("builds", "-a", "hello", "-l", "1")
    assert listed.out == "=== hello Builds (1 of 3)\nu1 2026-01-02T03:04:05Z\n"
    assert "paas builds --all" in listed.err


def test_lists_of_people_and_of_addresses(platform, paas):
    users = [{"username": "admin", "is_superuser": True}, {"username": "bob", "is_superuser": False}]
    platform.page("/v2/users/", users)
    assert paas("users").out == "=== Users (*=admin)\n*admin\nbob\n"
    platform.on(f"GET {APP}/perms/", {"users": ["carol"]})
    assert paas("sharing", "-a", "hello").out == "=== hello's Users\ncarol\n"
    platform.page("/v2/admin/perms/", [{"username": "admin", "is_superuser": True}])
    assert paas("perms:list", "--admin").out == "=== Administrators\nadmin\n"
    platform.on(f"GET {APP}/whitelist/", {"addresses": ["1.2.3.4"]})
    assert paas("whitelist", "-a", "hello").out == "=== hello Whitelisted Addresses\n1.2.3.4\n"
    platform.on(f"GET {APP}/services/", {"services": [{"procfile_type": "web", "path_pattern": "/a"}]})
    assert paas("services", "-a", "hello").out.startswith("=== hello Services\nweb ")
    platform.on(f"GET {APP}/settings/", {"label": {}, "autoscale": {}})
    assert paas("labels", "-a", "hello").out == "=== hello Label\nNo labels found.\n"
    assert paas("autoscale", "-a", "hello").out.startswith("=== hello Autoscale\n")


def test_refusals_of_accounts_are_introduced(platform, paas):
    platform.on("POST /v2/auth/passwd/", {"detail": "Current password does not match"}, 401)
    refused = paas("passwd", "--password=wrong", "--new-password=new one")
    assert refused.code != 0 and refused.err.startswith("Error: Password change failed: ")
    platform.on("GET /v2/", {"detail": "Authentication credentials were not provided."}, 401)
    taken = {"username": ["A user with that username already exists."]}
    platform.on("POST /v2/auth/register/", taken, 400)
    account = ("--username=bob", "--password=correct horse", "--email=b@example.test")
    assert paas("register", platform.url, *account).err.startswith("Error: Registration failed: ")


def test_an_account_is_not_cancelled_without_a_yes(platform, paas, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert paas("auth:cancel").out == "Account not changed\n"
    assert platform.bodies("DELETE /v2/auth/cancel/") == []
