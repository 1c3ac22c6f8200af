"""The whole command list against the real controller, served over HTTP, with a cluster in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.controller.memory_cluster import MemoryCluster, put_in_place

ROOT = Path(__file__).parents[2]
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIcT5VDnRTOEfVAmQ2OoYXcAGI7S0zsyp0P0wkqh+1fx bob@laptop"


@pytest.fixture
def cluster(monkeypatch):
    made = MemoryCluster()
    put_in_place(monkeypatch, made)
    monkeypatch.setattr("controller.cluster.deploy.SETTLE", 0.5)
    return made


@dataclass
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def paas(home):
    """The program itself: what the controller in this process logs stays out of what it prints."""

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "cli", *words],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def bob(cluster, live_server, paas):
    """Runs commands as bob, the first user, on the controller."""
    done = paas("register", live_server.url, "--username=bob", "--password=correct horse", "--email=bob@example.test")
    assert done.out.startswith("Registered bob\nLogged in as bob\n"), done

    def run(*words, code=0):
        result = paas(*words)
        assert result.code == code, result
        assert "Traceback" not in result.err
        return result

    return run


@pytest.fixture
def shop(bob):
    """bob's app with a build: v2 is live."""
    bob("create", "shop", "--no-remote")
    bob("pull", "127.0.0.1:5000/shop:1", "-a", "shop", "-p", "web: serve\nworker: work")
    return lambda command, *words, code=0: bob(command, "-a", "shop", *words, code=code)


def test_accounts(bob, live_server):
    assert bob("whoami").out == f"You are bob at {live_server.url}\n"
    assert "Is Superuser:  true" in bob("whoami", "--all").out
    assert json.loads(bob("whoami", "--all", "--json").out)["username"] == "bob"
    assert bob("users").out == "=== Users (*=admin)\n*bob\n"
    assert bob("perms", "--admin").out == "=== Administrators\nbob\n"
    assert bob("auth:regenerate").out == "Token Regenerated\n"
    assert bob("apps").out == "=== Apps\n"
    assert bob("passwd", "--password=correct horse", "--new-password=battery staple").out.startswith("Password change")
    assert bob("logout").out == "Logged out\n"
    assert bob("login", live_server.url, "--username=bob", "--password=battery staple").code == 0
    assert bob("auth:cancel", "--yes").out == "Account cancelled\n"
    assert bob("apps", code=3).err.startswith("Error: You are not logged in")


def test_keys(bob, home):
    file = home / "key.pub"
    file.write_text(PUBLIC_KEY)
    assert bob("keys:add", str(file)).out.endswith("... done\n")
    assert bob("keys").out == "=== bob Keys\nbob@laptop ssh-ed25519 AAAA...bob@laptop\n"
    assert "give this one its own name" in bob("keys:add", str(file), code=1).err
    assert "already in use" in bob("keys:add", "other", str(file), code=1).err
    assert bob("keys:remove", "bob@laptop").out == "Removing bob@laptop SSH Key... done\n"
    assert bob("keys:remove", "bob@laptop", code=4).err == "Error: There is no such key; `paas keys` lists yours.\n"


def test_an_apps_life(bob, repository):
    made = bob("create", "shop").out
    assert made == "Creating Application... done, created shop\nGit remote deis successfully created for app shop.\n"
    assert bob("apps").out == "=== Apps\nshop\n"
    assert "ssh://git@" in (repository / ".git" / "config").read_text()
    seen = bob("info").out
    assert "=== shop Application" in seen and "url:      http://shop.paas.localhost:8080" in seen
    assert bob("git:remote").out.endswith("is correctly configured for app shop.\n")
    assert bob("destroy", "--confirm=shop").out.endswith("Git remotes for app shop removed.\n")
    assert bob("info", "-a", "shop", code=4).err.startswith("Error: There is no app shop; `paas apps` lists yours")
    assert "App name must start" in bob("create", "Shop", code=1).err


def test_processes(shop):
    assert shop("scale").out == "web=1\n"
    scaled = shop("scale", "web+2", "worker=1").out
    assert scaled.count(" up (v2)") == 4 and "--- web:" in scaled and "--- worker:" in scaled
    assert len(json.loads(shop("ps", "--json").out)) == 4
    name = json.loads(shop("ps", "--json").out)[0]["name"]
    for what in (name, "web", "worker"):
        assert " up (v2)" in shop("ps:restart", what).out
    assert shop("ps:restart", "none").out.endswith("Could not find any processes to restart\n")
    assert shop("ps:wait", "--timeout=5").out.endswith("4 up\n")
    assert "Container type nope does not exist" in shop("scale", "nope=1", code=4).err
    name = json.loads(shop("ps", "--json").out)[0]["name"]
    assert shop("ps:kill", name).out == f"Killing {name}... done\n"
    assert shop("ps:kill", "web", code=4).err == "Error: shop has no process web; `paas ps` lists them.\n"
    assert shop("ps:stop", "worker").out == "Stopping worker... done\n"
    assert shop("scale").out == "web=3 worker=0\n"
    assert shop("ps:stop").out == "Stopping web... done\n"
    assert shop("ps:stop").out == "Could not find any processes to stop\n"
    assert shop("ps").out == "=== shop Processes\nNo process runs; `paas explain` says why.\n"


def test_config_and_releases(shop):
    assert shop("config:set", "A=1", "B=two words").out.endswith("=== shop Config\nA      1\nB      two words\n")
    assert shop("config:get", "B").out == "two words\n"
    assert shop("config:get", "B", "--json").out == '"two words"\n'
    assert "has no variable NONE; `paas config`" in shop("config:get", "NONE", code=1).err
    assert shop("config:unset", "A").out.endswith("=== shop Config\nB      two words\n")
    assert "A does not exist under values" in shop("config:unset", "A", code=1).err
    assert "changed nothing" in shop("config:set", "B=two words", code=6).err
    listed = shop("releases").out.splitlines()
    assert [row.split("\t")[0] for row in listed[1:]] == ["v4", "v3", "v2", "v1"]
    assert shop("releases", "-l", "1").out.startswith("=== shop Releases (1 of 4)\n")
    assert "summary:  bob deleted A" in shop("releases:info", "v4").out
    assert shop("rollback", "v2").out == "Rolling back to v2... done, v5\n"
    assert shop("config").out == "=== shop Config\n"
    assert shop("rollback").out == "Rolling back one release... done, v6\n"
    assert "Cannot roll back to initial release" in shop("rollback", "1", code=1).err
    assert shop("releases:info", "v99", code=4).err.startswith("Error: There is no such release")
    assert len(shop("builds").out.splitlines()) == 2


def test_logs_and_one_off_commands(shop, cluster):
    assert "deis[controller]: INFO bob deployed 127.0.0.1:5000/shop:1" in shop("logs").out
    assert len(shop("logs", "-n", "2").out.splitlines()) == 2
    cluster.run_result = (3, "went wrong\n")
    failed = shop("run", "false", code=3)
    assert (failed.out, failed.err) == ("Running 'false'...\n", "went wrong\n")


def test_domains_and_certificates(shop, home):
    assert shop("domains:add", "www.example.test").out == "Adding www.example.test to shop... done\n"
    assert shop("domains").out == "=== shop Domains\nshop\nwww.example.test\n"
    assert "already in use" in shop("domains:add", "www.example.test", code=1).err
    assert shop("domains:remove", "www.example.test").out == "Removing www.example.test from shop... done\n"
    assert shop("domains:remove", "www.example.test", code=4).err.startswith("Error: There is no such domain")


def test_certificates(bob, shop, home):
    certificate, key = make_certificate(home)
    shop("domains:add", "www.example.test")
    assert bob("certs").out == "No certs\n"
    assert bob("certs:add", "www", str(certificate), str(key)).out == "Adding SSL endpoint... done\n"
    assert bob("certs:attach", "www", "www.example.test").out.endswith("... done\n")
    table = bob("certs").out.splitlines()
    assert table[0].split()[0] == "Name" and "www.example.test" in table[1]
    assert "Connected Domains:  www.example.test" in bob("certs:info", "www").out
    assert bob("certs:detach", "www", "www.example.test").out.endswith("... done\n")
    assert bob("certs:remove", "www").out == "Removing www... done\n"
    assert bob("certs:add", "www", str(key), str(key), code=1).err.startswith("Error: Could not load certificate")


def make_certificate(folder):
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "www.example.test")])
    now = datetime.datetime.now(datetime.UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(secret.public_key())
    built = built.serial_number(7).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=100))
    signed = built.sign(secret, hashes.SHA256())
    certificate, key = folder / "www.pem", folder / "www.key"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key.write_bytes(
        secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    return certificate, key


def test_limits_timeouts_tags_and_registry(shop):
    assert shop("limits").out == "=== shop Limits\n\n--- Memory\nUnlimited\n\n--- CPU\nUnlimited\n"
    assert "--- Memory\nweb     256M\n" in shop("limits:set", "web=256M").out
    assert "--- CPU\nweb     250m/500m\n" in shop("limits:set", "web=250m/500m", "--cpu").out
    assert "Memory limit format" in shop("limits:set", "web=lots", code=1).err
    assert "--- Memory\nUnlimited\n" in shop("limits:unset", "web").out
    assert shop("timeouts:set", "worker=300").out.endswith("=== shop Timeouts (sec)\nworker      300\n")
    assert "Default: 30 seconds" in shop("timeouts:unset", "worker").out
    assert shop("tags:set", "disk=ssd").out.endswith("=== shop Tags\ndisk      ssd\n")
    assert "No nodes matched" in shop("tags:set", "disk=tape", code=1).err
    assert shop("tags:unset", "disk").out.endswith("=== shop Tags\n")
    shop("config:set", "PORT=5000")
    assert "password      secret\n" in shop("registry:set", "username=bob", "password=secret").out
    assert shop("registry:unset", "username", "password").out.endswith("=== shop Registry\n")


def test_healthchecks_and_autoscale(shop):
    assert shop("healthchecks").out == "=== shop Healthchecks\nNo health checks configured.\n"
    shown = shop("healthchecks:set", "readiness", "httpGet", "5000", "--path=/healthz", "--type=web").out
    assert "No liveness probe configured." in shown
    assert 'HTTP GET Probe: Path="/healthz" Port=5000 HTTPHeaders=[]\n' in shown
    shown = shop("healthchecks:set", "liveness", "exec", "--type=web", "--", "cat", "/tmp/ok").out
    assert "Command=cat /tmp/ok" in shown
    assert "No readiness probe" in shop("healthchecks:unset", "readiness", "--type=web").out
    assert "no check" in shop("healthchecks:set", "liveness", "ping", "1", code=2).err
    set_ = shop("autoscale:set", "web", "--min=1", "--max=3", "--cpu-percent=70").out
    assert set_ == "Applying autoscale settings for process type web on shop... done\n"
    assert "--- web:\nMin Replicas: 1\nMax Replicas: 3\nCPU: 70%\n" in shop("autoscale").out
    assert shop("autoscale:unset", "web").code == 0


def test_routing_settings(shop):
    assert shop("maintenance").out == "Maintenance mode is off.\n"
    assert shop("maintenance:on").out == "Enabling maintenance mode for shop... done\n"
    assert shop("maintenance").out == "Maintenance mode is on.\n"
    assert shop("maintenance:on", code=6).err.endswith("bob changed nothing.\n")
    assert shop("routing").out == "Routing is enabled.\n"
    assert shop("routing:disable").out == "Disabling routing for shop... done\n"
    assert shop("routing").out == "Routing is disabled.\n"
    assert shop("tls").out == "=== shop TLS\nHTTPS Enforced: not set\n"
    assert shop("tls:enable").out == "Enabling https-only requests for shop... done\n"
    assert shop("tls").out.endswith("HTTPS Enforced: true\n")
    assert shop("tls:disable").code == 0
    added = shop("whitelist:add", "192.0.2.7,198.51.100.0/24").out
    assert added == "Adding 192.0.2.7,198.51.100.0/24 to shop whitelist...\ndone\n"
    assert "192.0.2.7\n" in shop("whitelist").out
    assert shop("whitelist:remove", "192.0.2.7").out.endswith("done\n")
    assert "not an IP address" in shop("whitelist:add", "here", code=1).err
    assert shop("services:add", "--type=worker", "--route=/api/.*").out == "Adding worker (/api/.*) to shop... done\n"
    assert shop("services").out == "=== shop Services\nworker     /api/.*\n"
    assert shop("services:remove", "worker").code == 0
    assert shop("labels:set", "team=blue").out == "Applying labels on shop... done\n"
    assert shop("labels").out == "=== shop Label\nteam:  blue\n"
    assert shop("labels:unset", "team").out == "Removing labels on shop... done\n"
    assert shop("labels").out.endswith("No labels found.\n")


def test_sharing_and_handing_over(bob, shop, live_server):
    words = ("--username=alice", "--password=battery horse", "--email=", "--login=false")
    assert bob("register", live_server.url, *words).out == "Registered alice\n"
    assert shop("perms").out == "=== shop's Users\n"
    assert shop("perms:create", "alice").out == "Adding alice to shop collaborators... done\n"
    assert shop("sharing").out == "=== shop's Users\nalice\n"
    assert shop("perms:delete", "alice").out == "Removing alice from shop collaborators... done\n"
    assert bob("perms:create", "alice", "--admin").out == "Adding alice to system administrators... done\n"
    assert bob("perms:delete", "alice", "--admin").out == "Removing alice from system administrators... done\n"
    assert shop("apps:transfer", "alice").out == "Transferring shop to alice... done\n"
    assert shop("apps:transfer", "nobody", code=4).err.startswith("Error: There is no such user")


def test_a_stale_login_is_no_hindrance_to_registering(bob, live_server, home):
    profile = home / ".deis" / "client.json"
    profile.write_text(json.dumps({**json.loads(profile.read_text()), "token": "0" * 40}))
    done = bob("register", live_server.url, "--username=alice", "--password=battery horse", "--email=")
    assert done.out.startswith("Registered alice\nLogged in as alice\n")


def test_roles_and_teams(bob, shop, live_server):
    bob("register", live_server.url, "--username=alice", "--password=battery horse", "--email=", "--login=false")
    assert shop("access:grant", "alice", "viewer").out == "Making alice viewer of shop... done\n"
    made = bob("teams:create", "backend")
    assert made.out == "Creating team backend... done\n"
    assert "paas access:grant --team=backend developer" in made.err
    assert bob("teams:add", "backend", "alice").out == "Adding alice to team backend... done\n"
    assert shop("access:grant", "--team=backend", "developer").out == "Making team backend developer of shop... done\n"
    assert shop("access").out == (
        "=== shop Access\nbob             owner (the app is theirs)\n"
        "alice           viewer\nteam backend    developer\n"
    )
    assert bob("teams").out == "=== Teams\nbackend  2 members\n"
    assert bob("teams:info", "backend").out == (
        "=== backend Members (*=manager)\nalice\n*bob\n\n=== backend Apps\nshop  developer\n"
    )
    assert "only manager of backend" in bob("teams:remove", "backend", "bob", code=6).err
    assert "the roles are viewer" in shop("access:grant", "alice", "king", code=1).err
    assert shop("access:revoke", "alice").out == "Taking alice off shop... done\n"
    assert shop("access:revoke", "--team=backend").code == 0
    assert bob("teams:destroy", "backend").out == "Destroying team backend... done\n"
    assert bob("teams:info", "backend", code=4).err.startswith("Error: There is no such team; `paas teams` lists")
    assert shop("access:grant", "alice", code=2).err


def test_shared_config(bob, shop):
    assert bob("config:groups:create", "shared").out == "Creating config group shared... done\n"
    assert shop("config:groups:attach", "shared").out == "Attaching config group shared to shop... done\n"
    out = bob("config:groups:set", "shared", "REGION=north").out
    assert out == (
        "Changing config group shared... done; 1 app gets a release\n\n"
        "=== shared Config Group\nREGION      north\nAttached to: shop\n"
    )
    assert shop("config").out.endswith("=== Shared\nREGION      north (group shared)\n")
    bob("create", "store", "--no-remote")
    bob("config:set", "URL=postgres://1", "-a", "store")
    assert shop("config:link", "DB", "store.URL").out == "Linking DB of shop to store.URL... done\n"
    assert "DB          postgres://1 (store.URL)" in shop("config").out
    assert "circle" in bob("config:link", "URL", "shop.DB", "-a", "store", code=6).err
    assert shop("config:unlink", "DB").code == shop("config:groups:detach", "shared").code == 0
    assert bob("config:groups:destroy", "shared").out == "Destroying config group shared... done\n"


def test_tokens_and_the_trail(bob, shop, live_server, home):
    made = bob("tokens:create", "ci", "--scope=deploy", "-a", "shop")
    assert made.out.startswith("paas_") and "not shown again" in made.err
    assert "ci    deploy  shop" in bob("tokens").out
    assert bob("tokens:revoke", "ci").out == "Revoking token ci... done\n"
    trail = shop("audit").out
    assert trail.startswith("=== shop Audit\n") and "bob (login, 127.0.0.1) POST /v2/apps/shop/builds/ 201" in trail
    assert "DELETE /v2/tokens/ci 204" in bob("audit").out


def test_an_invitation(bob, live_server, paas):
    made = bob("invitations:create", "--days=2")
    token = made.out.strip().rpartition("token=")[2]
    assert "good once" in made.err and "anybody with the link" in bob("invitations").out
    link = f"{live_server.url}/join/?token={token}"
    words = ("--username=dora", "--password=battery horse", "-c", "dora")
    assert paas("invitations:accept", link, *words).out.startswith("Registered dora\nLogged in as dora\n")
    assert "accepted by dora" in bob("invitations").out
    assert "used up" in paas("invitations:accept", link, "--username=eve", "--password=battery horse").err


def test_another_users_app_is_refused_in_a_sentence(bob, shop, live_server):
    bob("register", live_server.url, "--username=eve", "--password=battery horse", "--email=")
    refused = shop("scale", "web=9", code=5)
    assert refused.err.startswith("Error: You have no permission to do that; the app's owner can give it")


def test_scripts_reach_any_route(bob, shop):
    assert json.loads(bob("api", "GET", "/v2/apps/shop/").out)["id"] == "shop"
    assert json.loads(bob("api", "POST", "/v2/apps/shop/domains/", "-d", '{"domain": "x.y"}').out)["domain"] == "x.y"
    assert bob("api", "GET", "/v2/apps/none/", code=4)


def test_versions(bob):
    assert "Workflow Controller API Version:  2.3" in bob("version", "--all").out
