"""Logging in and keeping profiles."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import stat

import pytest

KEYS = {"count": 0, "next": None, "previous": None, "results": []}


@pytest.fixture
def open_platform(platform):
    platform.on("POST /v2/auth/login/", {"token": "b" * 40})
    platform.on("GET /v2/keys/", KEYS)
    return platform


def test_login_writes_a_private_deis_profile_and_hints_at_keys(open_platform, paas, home):
    result = paas("login", open_platform.url, "--username=bob", "--password=secret")
    path = home / ".deis" / "client.json"
    assert result.out == f"Logged in as bob\nConfiguration file written to {path}\n"
    assert "paas keys:add" in result.err
    assert json.loads(path.read_text()) == {
        "username": "bob",
        "ssl_verify": True,
        "controller": open_platform.url,
        "token": "b" * 40,
        "response_limit": 0,
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_platform.bodies("POST /v2/auth/login/") == [{"username": "bob", "password": "secret"}]


def test_the_password_may_come_from_standard_input(open_platform, paas, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("from a file\n"))
    assert paas("login", open_platform.url, "--username=bob", "--password-stdin").code == 0
    assert open_platform.bodies("POST /v2/auth/login/")[0]["password"] == "from a file"


@pytest.mark.parametrize("how", ["DEIS_PROFILE", "PAAS_PROFILE", "option"])
def test_profiles_are_chosen_by_environment_or_option(open_platform, paas, home, monkeypatch, how):
    words = ["--username=bob", "--password=x"]
    if how == "option":
        words += ["-c", "staging"]
    else:
        monkeypatch.setenv(how, "staging")
    paas("login", open_platform.url, *words)
    assert (home / ".deis" / "staging.json").exists()
    assert not (home / ".deis" / "client.json").exists()


def test_a_path_is_a_profile_as_it_stands(open_platform, paas, home):
    target = home / "elsewhere" / "me.json"
    paas("login", open_platform.url, "--username=bob", "--password=x", "-c", str(target))
    assert paas("whoami", f"--config={target}").out == f"You are bob at {open_platform.url}\n"


def test_a_wrong_password_says_so(platform, paas, home):
    refusal = {"non_field_errors": ["Unable to log in with provided credentials."]}
    platform.on("POST /v2/auth/login/", refusal, 400)
    result = paas("login", platform.url, "--username=bob", "--password=x")
    assert (result.code, result.err) == (
        1,
        "Error: Unable to log in with provided credentials. Check the name and the password.\n",
    )
    assert not (home / ".deis" / "client.json").exists()


def test_an_address_without_a_controller_is_refused(platform, paas):
    platform.on("GET /v2/", {}, 200)
    result = paas("login", platform.url, "--username=bob", "--password=x")
    assert result.code == 1
    assert "is not a valid controller (it answered 200)" in result.err


def test_nothing_listening_names_the_address(paas, home):
    result = paas("login", "http://paas.localhost:1", "--username=bob", "--password=x")
    assert result.code == 7
    assert result.err == "Error: Nothing answers at http://paas.localhost:1: is the platform up, and the port right?\n"


def test_without_a_login_every_command_names_the_next_step(paas, home):
    result = paas("apps")
    assert result.code == 3
    assert result.err == "Error: You are not logged in; log in with `paas login http://CONTROLLER`.\n"


def test_logout_forgets(logged_in, paas):
    assert paas("logout").out == "Logged out\n"
    assert not logged_in.exists()


def test_register_logs_in_and_sends_the_token_of_the_same_controller(open_platform, logged_in, paas):
    open_platform.on("POST /v2/auth/register/", {"username": "eve"}, 201)
    result = paas("register", open_platform.url, "--username=eve", "--password=x", "--email=", "--login=false")
    assert result.out == "Registered eve\n"
    asked = next(one for one in open_platform.asked if one.path == "/v2/auth/register/")
    assert asked.headers["Authorization"] == "token " + "a" * 40
    assert asked.body == {"username": "eve", "password": "x", "email": ""}


def test_a_key_is_uploaded_under_its_comment(platform, logged_in, paas, home):
    file = home / ".ssh" / "id_ed25519.pub"
    file.parent.mkdir()
    file.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 bob@laptop\n")
    platform.on("POST /v2/keys/", {}, 201)
    assert paas("keys:add", str(file)).out == "Uploading id_ed25519.pub to deis... done\n"
    assert platform.bodies("POST /v2/keys/") == [
        {"id": "bob@laptop", "public": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 bob@laptop"}
    ]


def test_a_private_key_never_leaves(platform, logged_in, paas, home):
    file = home / "id"
    file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    result = paas("keys:add", str(file))
    assert (result.code, platform.asked) == (2, [])
    assert "is a private key, and stays yours" in result.err


def test_without_keys_the_command_that_makes_one_is_named(platform, logged_in, paas):
    result = paas("keys:add")
    assert result.code == 1
    assert "ssh-keygen -t ed25519" in result.err


def test_keys_are_listed_short(platform, logged_in, paas):
    platform.page("/v2/keys/", [{"id": "bob@laptop", "public": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI bob@laptop"}])
    assert paas("keys").out == "=== bob Keys\nbob@laptop ssh-ed25519 AAAA...bob@laptop\n"


def test_a_login_by_the_browser(open_platform, paas, home, monkeypatch):
    """The browser is one that signs in at once and comes back to the port it was told."""
    import threading
    import urllib.parse
    import urllib.request

    seen = {}

    def browse(url):
        seen.update(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        back = f"http://127.0.0.1:{seen['port']}/"
        wrong = f"{back}favicon.ico"
        right = f"{back}?{urllib.parse.urlencode({'code': 'one-time', 'state': seen['state']})}"
        threading.Thread(target=lambda: [urllib.request.urlopen(one).read() for one in (wrong, right)]).start()

    monkeypatch.setattr("webbrowser.open", browse)
    open_platform.on("POST /v2/auth/cli/", {"username": "dora", "token": "b" * 40})
    result = paas("login", open_platform.url, "--browser")
    assert result.code == 0 and "Logged in as dora" in result.out
    (sent,) = open_platform.bodies("POST /v2/auth/cli/")
    digest = hashlib.sha256(sent["verifier"].encode()).digest()
    assert sent["code"] == "one-time"
    assert seen["challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert json.loads((home / ".deis" / "client.json").read_text())["token"] == "b" * 40


def test_a_code_asked_for_at_login_is_sent(open_platform, paas, monkeypatch):
    open_platform.on("POST /v2/auth/login/", {"code": ["A code of your authenticator app is needed as well."]}, 400)
    monkeypatch.setattr("sys.stdin", io.StringIO("123456\n"))
    result = paas("login", open_platform.url, "--username=bob", "--password=secret")
    assert result.code == 1
    assert [body.get("code") for body in open_platform.bodies("POST /v2/auth/login/")] == [None, "123456"]
