"""Facts of several sections that are easily lost: slashes, methods, lookups that fail, trouble of the scheduler."""

import pytest

from controller.errors import ClusterTrouble

BELOW_AN_APP = ("scale", "run", "pods/restart", "pods/web/restart", "pods/web/x/restart", "releases/rollback")
METHODS = [
    ("PUT", "config/"), ("DELETE", "config/"), ("PUT", "settings/"), ("DELETE", "tls/"), ("POST", "releases/"),
    ("DELETE", "releases/v1"), ("DELETE", "builds/"), ("GET", "scale/"), ("GET", "run"), ("POST", "logs"),
    ("POST", "pods/"), ("GET", "pods/restart/"), ("GET", "releases/rollback/"), ("PUT", "perms/"),
    ("PUT", "whitelist/"),
]  # fmt: skip


@pytest.mark.parametrize("path", [*(f"apps/blue/{tail}" for tail in BELOW_AN_APP), "keys", "certs", "auth/passwd"])
def test_posts_take_a_slash_or_none(blue, path):
    answers = [blue.post(f"/v2/{path}{slash}", {}).status_code for slash in ("", "/")]
    assert answers[0] == answers[1] and answers[0] not in (301, 302, 404, 405), path


def test_some_parts_swallow_a_slash_and_some_take_none(blue, builder):
    blue.post("/v2/certs/www/domain/", {})
    assert blue.get("/v2/keys/laptop/").json() == "No Key matches the given query."
    assert builder.get("/v2/hooks/key/aa:bb/").json() == "No Key matches the given query."
    for user, method, path in (
        (builder, "GET", "/v2/hooks/keys/blue/bob/"),
        (blue, "DELETE", "/v2/certs/www/domain/blue/"),
    ):
        answer = user._send(method, path, None, {})
        assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (404, "text/html"), path


@pytest.mark.parametrize(("method", "tail"), METHODS)
def test_methods_that_a_route_lacks_are_named(blue, method, tail):
    answer = blue._send(method, f"/v2/apps/blue/{tail}", None, {})
    assert (answer.status_code, answer.json()) == (405, {"detail": f'Method "{method}" not allowed.'})


def test_users_that_are_not_there(admin, blue, builder):
    for answer in (
        admin.post("/v2/auth/tokens/", {"username": "nobody"}),
        admin.delete("/v2/auth/cancel/", {"username": "nobody"}),
        admin.post("/v2/admin/perms/", {"username": "nobody"}),
        blue.post("/v2/apps/blue/", {"owner": "nobody"}),
        blue.delete("/v2/apps/blue/perms/nobody"),
        builder.get("/v2/hooks/keys/blue/nobody"),
    ):
        assert (answer.status_code, answer.content) == (404, b'"No User matches the given query."')


def test_a_user_without_keys_is_told_apart_from_one_who_is_not_there(blue, builder):
    answer = builder.get("/v2/hooks/keys/blue/bob")
    assert (answer.status_code, answer.json()) == (404, {"detail": "No Keys match for user bob."})
    assert builder.get("/v2/hooks/keys/none/bob").json() == "No App matches the given query."


def test_what_collaborators_made_stays_theirs_when_the_app_is_given_away(live, admin, sign_in):
    carol = sign_in("carol")
    live.post("/v2/apps/blue/perms/", {"username": "carol"})
    made = carol.post("/v2/apps/blue/config/", {"values": {"A": "1"}}).json()
    assert made["owner"] == "carol"
    live.post("/v2/apps/blue/", {"owner": "admin"})
    releases = admin.get("/v2/apps/blue/releases/").json()["results"]
    assert [release["owner"] for release in releases] == ["carol", "admin", "admin"]
    assert admin.get("/v2/apps/blue/config/").json()["owner"] == "carol"
    assert admin.get("/v2/apps/blue/settings/").json()["owner"] == "admin"


def test_domains_in_either_form_are_one(blue):
    path = "/v2/apps/blue/domains/"
    for typed, ascii_form in (
        ("täst.xn--knigsgsschen-lcb0w.de", "xn--tst-qla.xn--knigsgsschen-lcb0w.de"),
        ("*.домена.испытание", "*.xn--80ahd1agd.xn--80akhbyknj4f"),
    ):
        assert blue.post(path, {"domain": typed}).json()["domain"] == ascii_form
        assert blue.post(path, {"domain": ascii_form}).status_code == 400
        assert blue.delete(path + typed).status_code == 204
    for odd in ("django.pa--assandbox", "too.l" + "o" * 63 + "ng"):
        assert list(blue.post(path, {"domain": odd}).json()) == ["domain"], odd
    assert blue.post(path, {"domain": "django.paas--sandbox"}).status_code == 201


def test_settings_may_come_before_the_first_build(blue):
    path = "/v2/apps/blue/settings/"
    rule = {"min": 2, "max": 5, "cpu_percent": 45}
    assert blue.post(path, {"autoscale": {"cmd": rule}}).json()["autoscale"] == {"cmd": rule}
    both = blue.post(path, {"autoscale": {"worker": rule}}).json()["autoscale"]
    assert both == {"cmd": rule, "worker": rule}
    labels = {"git_repo": "https://git.example/x/y", "empty": "", "team": 7}
    assert blue.post(path, {"label": labels}).json()["label"] == {**labels, "team": "7"}


@pytest.fixture
def trouble(cluster, monkeypatch):
    """Has the cluster refuse a verb for some kinds, in Deis' words and with its statuses."""

    def begin(verb, kinds):
        real = getattr(cluster, verb)

        def broken(first, *rest, **more):
            kind = first["kind"] if isinstance(first, dict) else first
            if kind in kinds:
                raise ClusterTrouble("boom")
            return real(first, *rest, **more)

        monkeypatch.setattr(cluster, verb, broken)

    return begin


def test_trouble_of_a_build_is_400_and_a_failed_release(live, push, trouble):
    trouble("apply", {"Deployment"})
    answer = push(sha="bbbbbbbb")
    assert (answer.status_code, answer.json()) == (400, {"detail": "(app::deploy): boom"})
    release = live.get("/v2/apps/blue/releases/v3").json()
    assert (release["failed"], release["exception"]) == (True, "error: (app::deploy): boom")


def test_trouble_of_a_scale_is_503(live, trouble):
    trouble("apply", {"Deployment"})
    answer = live.post("/v2/apps/blue/scale/", {"web": 3})
    assert (answer.status_code, answer.json()) == (503, {"detail": "(scale): boom"})
    assert live.get("/v2/apps/blue/").json()["structure"] == {"web": 1}


def test_trouble_of_a_command_is_503(live, trouble):
    trouble("create", {"Pod"})
    answer = live.post("/v2/apps/blue/run", {"command": "ls"})
    assert answer.status_code == 503 and "boom" in answer.json()["detail"]


def test_trouble_of_a_domain_or_an_address_is_503_and_made_good_later(live, trouble):
    trouble("apply", {"Service"})
    for tail, body in (("domains/", {"domain": "foo.test"}), ("whitelist/", {"addresses": ["2.3.4.5"]})):
        answer = live.post(f"/v2/apps/blue/{tail}", body)
        assert (answer.status_code, list(answer.json())) == (503, ["detail"]), tail
