"""Sections 3, 5 and 6: builds, config, and the releases they make."""

import pytest


def summaries(user, app="blue"):
    return [release["summary"] for release in user.get(f"/v2/apps/{app}/releases/").json()["results"]]


def test_a_release_object_has_deis_fields(live):
    release = live.get("/v2/apps/blue/releases/v2/").json()
    assert set(release) == {
        "uuid", "app", "owner", "created", "updated", "version", "summary", "failed", "exception", "config", "build",
    }  # fmt: skip
    assert (release["app"], release["owner"], release["version"], release["failed"]) == ("blue", "bob", 2, False)
    assert release["build"] == live.get("/v2/apps/blue/builds/").json()["results"][0]["uuid"]
    assert release["config"] == live.get("/v2/apps/blue/config/").json()["uuid"]


def test_releases_are_found_by_v_and_number_only(live):
    assert live.get("/v2/apps/blue/releases/2").status_code == 404
    missing = live.get("/v2/apps/blue/releases/v99")
    assert (missing.status_code, missing.json()) == (404, "No Release matches the given query.")


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        ({"values": {"B": "1", "A": "2"}}, "bob added A, B"),
        ({"values": {"OLD": "new"}}, "bob changed OLD"),
        ({"values": {"OLD": None, "NEW": "1"}}, "bob added NEW, deleted OLD"),
        ({"memory": {"web": "64M"}, "cpu": {"web": "500m"}}, "bob changed limits for memory, cpu"),
        ({"values": {"A": "1"}, "memory": {"web": "64M"}}, "bob added A and bob changed limits for memory"),
        ({"termination_grace_period": {"web": "60"}}, "bob changed timeouts for termination_grace_period"),
        ({"tags": {"disk": "ssd"}}, "bob added tag disk"),
        (
            {"registry": {"username": "u"}, "values": {"PORT": "80"}},
            "bob added PORT and bob added registry info username",
        ),
        (
            {"healthcheck": {"web/cmd": {"livenessProbe": {"tcpSocket": {"port": 5000}}}}},
            "bob added healthcheck info for proc type web/cmd",
        ),
        ({"lifecycle_post_start": {"web": "true"}}, "bob added lifecycle_post_start  web"),
    ],
)
def test_summaries(live, body, summary):
    live.post("/v2/apps/blue/config/", {"values": {"OLD": "1"}})
    assert live.post("/v2/apps/blue/config/", body).status_code == 201
    assert summaries(live)[0] == summary


def test_changing_nothing_is_a_conflict_and_leaves_no_release(live):
    live.post("/v2/apps/blue/config/", {"values": {"A": "1"}})
    answer = live.post("/v2/apps/blue/config/", {"values": {"A": "1"}})
    assert (answer.status_code, answer.json()) == (409, {"detail": "bob changed nothing - release stopped"})
    assert len(summaries(live)) == 3


def test_unsetting_what_is_absent_is_422_and_changes_nothing(live):
    answer = live.post("/v2/apps/blue/config/", {"values": {"A": "1", "NONE": None}})
    assert (answer.status_code, answer.json()) == (422, {"detail": "NONE does not exist under values"})
    assert live.get("/v2/apps/blue/config/").json()["values"] == {}


def test_config_object_and_partial_merge(live):
    live.post("/v2/apps/blue/config/", {"values": {"A": "1", "N": 5, "T": True, "F": 1.5}, "cpu": {"web": 1}})
    config = live.post("/v2/apps/blue/config/", {"values": '{"B": "2"}'}).json()
    assert config["values"] == {"A": "1", "B": "2", "N": "5", "T": "True", "F": "1.5"}
    assert config["cpu"] == {"web": "1"}
    assert set(config) == {
        "uuid", "app", "owner", "values", "memory", "cpu", "tags", "registry", "healthcheck",
        "termination_grace_period", "lifecycle_post_start", "lifecycle_pre_stop", "created", "updated",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("section", "content", "text"),
    [
        ("values", {"1A": "x"}, "Config keys must start with a letter or underscore and only contain [A-z0-9_]"),
        ("values", {"A-B": "x"}, "Config keys must start with a letter or underscore and only contain [A-z0-9_]"),
        ("values", {"PORT": "http"}, "PORT can only be a numeric value"),
        ("values", {"PORT": "70000"}, "PORT needs to be between 1 and 65535"),
        (
            "memory",
            {"web": "lots"},
            "Memory limit format: <number><unit> or <number><unit>/<number><unit>, where unit = B, K, M or G",
        ),
        (
            "cpu",
            {"web": "many"},
            "CPU limit format: <value> or <value>/<value>, where value must be a numeric",
        ),
        ("memory", {"Web": "64M"}, "Process types can only contain lowercase alphanumeric characters"),
        ("healthcheck", {"web": {"startup": {}}}, "Healthcheck keys must be either livenessProbe or readinessProbe"),
        ("values", {"BIG": "y" * 131_070}, "BIG may have at most 131067 bytes"),
        ("values", {"A": [1]}, "A must be text, a number, true, false or null"),
        ("memory", {"web": "1\0"}, "web may not hold NUL characters"),
        (
            "healthcheck",
            {"web": {"livenessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 0}}},
            "livenessProbe: periodSeconds must be at least 1",
        ),
        ("values", 7, 'Expected a dictionary of items but got type "int".'),
    ],
)
def test_config_errors_name_their_section(blue, section, content, text):
    answer = blue.post("/v2/apps/blue/config/", {section: content})
    assert (answer.status_code, answer.json()) == (400, {section: [text]})


def test_config_without_a_build_still_makes_a_release(blue):
    assert blue.post("/v2/apps/blue/config/", {"values": {"A": "1"}}).status_code == 201
    assert summaries(blue) == ["bob added A", "bob created initial release"]


def test_tags_must_match_a_node(live):
    answer = live.post("/v2/apps/blue/config/", {"tags": {"disk": "tape"}})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("No nodes matched the provided labels: disk=tape")
    live.post("/v2/apps/blue/config/", {"tags": {"disk": "ssd"}})
    both = live.post("/v2/apps/blue/config/", {"tags": {"zone": "b"}}).json()["detail"]
    assert both == "No nodes matched the provided labels: disk=ssd, zone=b - Addition of zone=b is the cause"


def test_a_private_registry_needs_a_port(live):
    answer = live.post("/v2/apps/blue/config/", {"registry": {"username": "u", "password": "p"}})
    assert answer.status_code == 400
    assert answer.json() == {"detail": "PORT needs to be set in the config when using a private registry"}


def test_healthchecks_merge_probe_by_probe(live):
    path = "/v2/apps/blue/config/"
    probe = {"httpGet": {"port": 5000, "path": "/up"}, "periodSeconds": 3}
    live.post(path, {"healthcheck": {"web/cmd": {"livenessProbe": probe, "readinessProbe": probe}}})
    left = live.post(path, {"healthcheck": {"web/cmd": {"livenessProbe": None}}}).json()["healthcheck"]
    assert left == {"web/cmd": {"readinessProbe": probe}}
    empty = live.post(path, {"healthcheck": {"web/cmd": {"readinessProbe": None}}}).json()["healthcheck"]
    assert empty == {"web/cmd": {}}
    again = live.post(path, {"healthcheck": {"web/cmd": {"readinessProbe": None}}})
    assert (again.status_code, again.json()) == (422, {"detail": "web/cmd does not exist under healthcheck"})
    assert live.post(path, {"healthcheck": {"web/cmd": None}}).json()["healthcheck"] == {}


def test_legacy_healthcheck_variables_become_probes(live):
    config = live.post(
        "/v2/apps/blue/config/", {"values": {"HEALTHCHECK_URL": "/up", "HEALTHCHECK_TIMEOUT": "3"}}
    ).json()
    assert config["values"] == {}
    assert config["healthcheck"]["web/cmd"]["livenessProbe"] == {
        "initialDelaySeconds": 50,
        "timeoutSeconds": 3,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
        "httpGet": {"path": "/up"},
    }


def test_rollback_restores_build_and_config(live, push):
    live.post("/v2/apps/blue/config/", {"values": {"A": "1"}})
    push(sha="bbbbbbbb")
    answer = live.post("/v2/apps/blue/releases/rollback/", {"version": 2})
    assert (answer.status_code, answer.json()) == (201, {"version": 5})
    assert summaries(live)[0] == "bob rolled back to v2"
    assert live.get("/v2/apps/blue/config/").json()["values"] == {}
    assert live.post("/v2/apps/blue/releases/rollback/").json() == {"version": 6}
    assert summaries(live)[0] == "bob rolled back to v4"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"version": 0}, "version cannot be below 0"),
        ({"version": -3}, "version cannot be below 0"),
        ({"version": 1}, "Cannot roll back to initial release."),
        ({"version": 77}, "Release matching query does not exist."),
    ],
)
def test_rollbacks_that_cannot_be(live, body, text):
    answer = live.post("/v2/apps/blue/releases/rollback/", body)
    assert (answer.status_code, answer.json()) == (400, {"detail": text})


def test_an_empty_rollback_at_the_first_release(blue):
    assert blue.post("/v2/apps/blue/releases/rollback/").json() == {"detail": "version cannot be below 0"}


def test_an_image_build(blue):
    answer = blue.post("/v2/apps/blue/builds/", {"image": "example/go:1"})
    assert answer.status_code == 201
    build = answer.json()
    assert (build["image"], build["sha"], build["procfile"], build["dockerfile"]) == ("example/go:1", "", {}, "")
    assert summaries(blue)[0] == "bob deployed example/go:1"
    assert blue.get("/v2/apps/blue/").json()["structure"] == {"cmd": 1}
    assert blue.get(f"/v2/apps/blue/builds/{build['uuid']}").json() == build


def test_an_identical_image_is_a_new_release(blue):
    for version in (2, 3):
        blue.post("/v2/apps/blue/builds/", {"image": "example/go:1"})
        assert blue.get(f"/v2/apps/blue/releases/v{version}").json()["summary"] == "bob deployed example/go:1"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, {"image": ["This field is required."]}),
        ({"image": ""}, {"image": ["This field may not be blank."]}),
        (
            {"image": "a", "procfile": {"Web": "x"}},
            {"procfile": ["Process types can only contain lowercase alphanumeric characters"]},
        ),
        ({"image": "a", "procfile": {"web": ""}}, {"procfile": ["Command can't be empty for process type"]}),
    ],
)
def test_build_errors(blue, body, error):
    answer = blue.post("/v2/apps/blue/builds/", body)
    assert (answer.status_code, answer.json()) == (400, error)
    assert blue.get("/v2/apps/blue/builds/").json()["count"] == 0


def test_platform_images_are_refused(blue):
    assert blue.post("/v2/apps/blue/builds/", {"image": "deis/controller:v2"}).status_code == 400


def test_types_a_new_procfile_lacks_are_stopped(live, push):
    live.post("/v2/apps/blue/scale/", {"worker": 2})
    push(sha="bbbbbbbb", procfile={"web": "x", "clock": "y"})
    assert live.get("/v2/apps/blue/").json()["structure"] == {"web": 1, "worker": 0}
    assert live.get("/v2/apps/blue/pods/").json()["count"] == 1


def test_another_kind_of_build_gets_its_own_default(live, push):
    push(sha="bbbbbbbb", procfile={}, dockerfile="true", ports=[8080])
    assert live.get("/v2/apps/blue/").json()["structure"] == {"web": 0, "cmd": 1}


def test_an_image_without_a_port_cannot_be_routed(blue, push):
    answer = push(procfile={}, dockerfile="true", ports=[])
    assert answer.status_code == 400
    text = "Expose a port or make the app non routable by changing the process type"
    assert answer.json() == {"detail": text}
    blue.post("/v2/apps/blue/settings/", {"routable": False})
    assert push(procfile={}, dockerfile="true", ports=[]).status_code == 200


def test_a_git_build_is_summed_up_by_seven_digits(blue, push):
    push(sha="a1b2c3d4")
    assert summaries(blue)[0] == "bob deployed a1b2c3d"
    assert blue.get("/v2/apps/blue/builds/").json()["results"][0]["sha"] == "a1b2c3d4"


def test_limits_as_people_write_them(blue):
    memory = ("0", "64M", "64mb", "1G", "1gb/2GB", "65536K", "67108864B", "0/64M")
    cpu = ("1", "0.5", "500m", "250m/1", "0.25/0.5")
    for section, values in (("memory", memory), ("cpu", cpu)):
        for value in values:
            answer = blue.post("/v2/apps/blue/config/", {section: {"web": value}})
            assert (answer.status_code, answer.json()[section]) == (201, {"web": value}), value


def test_values_that_are_none(blue):
    for section, values in (
        ("memory", ("64", "M", "64T", "64M/", "1.5G", "-1M", "64M/1")),
        ("cpu", ("1k", "m", "1/", "-1", "1,5")),
        ("termination_grace_period", ("1m", "-1", "")),
        ("tags", ("-a", "a b", "x" * 64)),
    ):
        for value in values:
            answer = blue.post("/v2/apps/blue/config/", {section: {"web": value}})
            assert (answer.status_code, list(answer.json())) == (400, [section]), value


def test_keys_of_registries_are_in_small_letters(blue):
    body = {"values": {"PORT": "80"}, "registry": {"USERNAME": "u", "Password": "p"}}
    assert blue.post("/v2/apps/blue/config/", body).json()["registry"] == {"username": "u", "password": "p"}


def test_every_section_says_what_it_does_not_have(blue):
    for section in (
        "memory", "cpu", "tags", "registry", "healthcheck", "termination_grace_period", "lifecycle_post_start",
    ):  # fmt: skip
        answer = blue.post("/v2/apps/blue/config/", {section: {"web": None}})
        assert (answer.status_code, answer.json()) == (422, {"detail": f"web does not exist under {section}"})


def test_every_change_makes_another_config(blue):
    first = blue.get("/v2/apps/blue/config/").json()["uuid"]
    second = blue.post("/v2/apps/blue/config/", {"values": {"A": "1"}}).json()["uuid"]
    assert first != second == blue.get("/v2/apps/blue/config/").json()["uuid"]


def test_probes_that_cannot_be(blue):
    for probe in (
        {"httpGet": {}},
        {"httpGet": {"port": "http"}},
        {"exec": {"command": "ls"}},
        {"tcpSocket": {"port": 1}, "exec": {"command": ["ls"]}},
        {"tcpSocket": {"port": 1}, "successThreshold": 2},
        {"tcpSocket": {"port": 1}, "periodSeconds": "5"},
        {"periodSeconds": 5},
    ):
        answer = blue.post("/v2/apps/blue/config/", {"healthcheck": {"web": {"livenessProbe": probe}}})
        assert (answer.status_code, list(answer.json())) == (400, ["healthcheck"]), probe


def test_a_whole_probe_with_headers_is_kept(blue):
    get = {"port": 5000, "path": "/", "host": "x", "scheme": "HTTP", "httpHeaders": [{"name": "A", "value": "b"}]}
    probe = {"httpGet": get, "initialDelaySeconds": 0, "timeoutSeconds": 1}
    body = {"healthcheck": {"web": {"readinessProbe": probe}}}
    assert blue.post("/v2/apps/blue/config/", body).json()["healthcheck"] == {"web": {"readinessProbe": probe}}


def test_releases_and_builds_are_listed_newest_first(blue):
    for number in (1, 2, 3):
        blue.post("/v2/apps/blue/builds/", {"image": f"example/go:{number}"})
    assert [row["version"] for row in blue.get("/v2/apps/blue/releases/").json()["results"]] == [4, 3, 2, 1]
    images = [row["image"] for row in blue.get("/v2/apps/blue/builds/").json()["results"]]
    assert images == ["example/go:3", "example/go:2", "example/go:1"]
