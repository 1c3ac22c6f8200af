"""Section 4: apps, their processes, one-off commands and logs."""

import re

import pytest

APP_FIELDS = {"uuid", "id", "owner", "structure", "procfile_structure", "created", "updated"}


def test_an_app_is_made_with_its_release_and_domain(blue):
    app = blue.get("/v2/apps/blue/").json()
    assert set(app) == APP_FIELDS
    assert (app["id"], app["owner"], app["structure"]) == ("blue", "bob", {})
    release = blue.get("/v2/apps/blue/releases/v1").json()
    assert (release["version"], release["summary"], release["build"]) == (1, "bob created initial release", None)
    assert [d["domain"] for d in blue.get("/v2/apps/blue/domains/").json()["results"]] == ["blue"]


def test_a_nameless_app_gets_two_words(bob):
    assert re.fullmatch(r"[a-z]+-[a-z]+", bob.post("/v2/apps/").json()["id"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("deis", "deis is a reserved name."),
        ("blue", "Application with this id already exists."),
        ("x" * 64, "Ensure this field has no more than 63 characters."),
        ("", "This field may not be blank."),
    ],
)
def test_names_that_are_taken_or_too_long(blue, name, text):
    answer = blue.post("/v2/apps/", {"id": name})
    assert (answer.status_code, answer.json()) == (400, {"id": [text]})


@pytest.mark.parametrize("name", ["Blue", "1blue", "blue-", "bl_ue", "../etc", "blue\n", "a b", "-blue", "blüe", "a.b"])
def test_names_of_a_wrong_shape(bob, name):
    answer = bob.post("/v2/apps/", {"id": name})
    text = (
        "App name must start with an alphabetic character, cannot end with a hyphen and can only contain "
        "a-z (lowercase), 0-9 and hyphens."
    )
    if name != "blue\n":  # surrounding blanks are stripped
        assert (answer.status_code, answer.json()) == (400, {"id": [text]})


def test_a_foreign_namespace_is_left_alone(bob, cluster):
    cluster.apply({"kind": "Namespace", "metadata": {"name": "kube-system", "labels": {}}})
    answer = bob.post("/v2/apps/", {"id": "kube-system"})
    assert answer.status_code == 409
    assert bob.get("/v2/apps/").json()["count"] == 0


def test_lists_show_own_and_shared_apps_and_admins_see_all(blue, admin, sign_in):
    carol = sign_in("carol")
    carol.post("/v2/apps/", {"id": "amber"})

    def ids(user):
        return [app["id"] for app in user.get("/v2/apps/").json()["results"]]

    assert (ids(blue), ids(carol), ids(admin)) == (["blue"], ["amber"], ["amber", "blue"])
    carol.post("/v2/apps/amber/perms/", {"username": "bob"})
    assert ids(blue) == ["amber", "blue"]


def test_transfer_moves_everything_and_leaves_the_old_owner_out(live, admin, sign_in):
    carol = sign_in("carol")
    assert carol.post("/v2/apps/blue/", {"owner": "carol"}).status_code == 403
    assert live.post("/v2/apps/blue/", {"owner": "nobody"}).status_code == 404
    assert live.post("/v2/apps/blue/", {}).status_code == 200
    done = live.post("/v2/apps/blue/", {"owner": "carol"})
    assert (done.status_code, done.content) == (200, b"")
    assert live.get("/v2/apps/blue/").status_code == 403
    assert carol.get("/v2/apps/blue/").json()["owner"] == "carol"
    assert carol.get("/v2/apps/blue/releases/v2").json()["owner"] == "carol"
    assert live.delete("/v2/auth/cancel/").status_code == 204


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_apps_are_not_put_or_patched(blue, method):
    assert blue._send(method, "/v2/apps/blue/", {}, {}).status_code == 405


def test_scaling_needs_a_build_and_a_known_type(blue, push):
    assert blue.post("/v2/apps/blue/scale/", {"web": 1}).json() == {"detail": "No build associated with this release"}
    push()
    unknown = blue.post("/v2/apps/blue/scale/", {"clock": 1})
    assert unknown.status_code == 404
    assert unknown.json() == {"detail": "Container type clock does not exist in application"}
    assert blue.post("/v2/apps/blue/scale/", {"cmd": 0}).status_code == 204


def test_a_type_that_the_build_no_longer_has_can_only_be_stopped(live, push):
    push(sha="bbbbbbbb", procfile={}, dockerfile="true")
    assert live.get("/v2/apps/blue/").json()["structure"] == {"web": 0, "cmd": 1}
    gone = live.post("/v2/apps/blue/scale/", {"web": 1})
    assert (gone.status_code, gone.json()["detail"]) == (404, "Container type web does not exist in application")
    assert live.post("/v2/apps/blue/scale/", {"web": 0, "cmd": 2}).status_code == 204


def test_a_buildpacks_own_web_can_be_scaled_without_a_procfile(blue, push):
    push(procfile={})
    for count in (0, 2):
        assert blue.post("/v2/apps/blue/scale/", {"web": count}).status_code == 204


@pytest.mark.parametrize("counts", [{"web": -1}, {"web": "x"}, {"web": 1.5}, {"web": None}, {"web": True}, {"WEB": 1}])
def test_counts_that_are_none(live, counts):
    answer = live.post("/v2/apps/blue/scale/", counts)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("Invalid scaling format: ")


def test_scaling_touches_only_the_types_named(live, cluster):
    done = live.post("/v2/apps/blue/scale/", {"worker": "2"})
    assert (done.status_code, done.content) == (204, b"")
    assert live.get("/v2/apps/blue/").json()["structure"] == {"web": 1, "worker": 2}
    applied = len(cluster.applied)
    assert live.post("/v2/apps/blue/scale/", {"worker": 2}).status_code == 204
    assert len(cluster.applied) == applied


def test_scaling_replaces_no_process_that_stays(live, cluster):
    before = {pod["metadata"]["name"]: pod["spec"] for pod in cluster.all("Pod")}
    templates = [d["spec"]["template"] for d in cluster.all("Deployment")]
    live.post("/v2/apps/blue/scale/", {"web": 3})
    assert [d["spec"]["template"] for d in cluster.all("Deployment")] == templates
    assert before


def test_pods_are_no_page_and_filter_by_type_and_name(live):
    live.post("/v2/apps/blue/scale/", {"web": 2, "worker": 1})
    answer = live.get("/v2/apps/blue/pods/?limit=1").json()
    assert set(answer) == {"results", "count"} and answer["count"] == 3
    assert set(answer["results"][0]) == {"name", "state", "release", "type", "started"}
    assert live.get("/v2/apps/blue/pods/worker/").json()["count"] == 1
    name = live.get("/v2/apps/blue/pods/worker/").json()["results"][0]["name"]
    assert re.fullmatch(r"blue-worker-[a-z0-9]{8,10}-[a-z0-9]{5}", name)
    assert live.get(f"/v2/apps/blue/pods/worker/{name}/").json()["count"] == 1
    assert live.get("/v2/apps/blue/pods/clock/").json() == {"results": [], "count": 0}


def test_restart_answers_with_a_bare_list_of_fresh_processes(live):
    live.post("/v2/apps/blue/scale/", {"web": 2, "worker": 1})
    old = {pod["name"] for pod in live.get("/v2/apps/blue/pods/").json()["results"]}
    fresh = live.post("/v2/apps/blue/pods/web/restart/").json()
    assert [pod["type"] for pod in fresh] == ["web", "web"]
    assert not old & {pod["name"] for pod in fresh}
    one = fresh[0]["name"]
    replaced = live.post(f"/v2/apps/blue/pods/web/{one.removeprefix('blue-')}/restart/").json()
    assert len(replaced) == 1 and replaced[0]["name"] != one
    short = f"web-{replaced[0]['name'].rpartition('-')[2]}"  # as `ps:restart web-7x2kp` sends it
    again = live.post(f"/v2/apps/blue/pods/web/{short}/restart/").json()
    assert len(again) == 1 and again[0]["name"] != replaced[0]["name"]
    assert live.post(f"/v2/apps/blue/pods/worker/{short}/restart/").json() == []
    assert live.post("/v2/apps/blue/pods/web/web-zzzzz/restart/").json() == []
    assert live.post("/v2/apps/blue/pods/clock/restart/").json() == []
    assert len(live.post("/v2/apps/blue/pods/restart/").json()) == 3


def test_a_restart_survives_the_next_scaling(live, cluster):
    live.post("/v2/apps/blue/pods/web/restart/")
    before = {pod["metadata"]["name"] for pod in cluster.all("Pod")}
    stamp = cluster.get("Deployment", "blue", "blue-web")["spec"]["template"]["metadata"]["annotations"]
    live.post("/v2/apps/blue/scale/", {"worker": 1})
    assert cluster.get("Deployment", "blue", "blue-web")["spec"]["template"]["metadata"]["annotations"] == stamp
    assert before


def test_run_tells_code_and_output_and_leaves_nothing(live, cluster):
    cluster.run_result = (3, "no such file\n")
    answer = live.post("/v2/apps/blue/run", {"command": "cat nothing"})
    assert (answer.status_code, answer.json()) == (200, {"exit_code": 3, "output": "no such file\n"})
    assert [pod for pod in cluster.all("Pod") if pod["metadata"]["labels"]["type"] == "run"] == []


def test_run_needs_a_command_and_a_build(blue):
    assert blue.post("/v2/apps/blue/run", {}).json() == {"detail": "command is a required field"}
    answer = blue.post("/v2/apps/blue/run", {"command": "ls"})
    assert answer.status_code == 400
    assert answer.json() == {"detail": "No build associated with this release to run this command"}


def test_logs_are_lines_of_text_oldest_first(live, cluster):
    cluster.outputs["web"] = "2026-01-02T03:04:05.123456789Z hello\n2026-01-02T03:04:06Z  indented\n"
    answer = live.get("/v2/apps/blue/logs")
    assert answer.headers["Content-Type"].startswith("text/plain")
    lines = answer.content.decode().splitlines()
    assert answer.content.endswith(b"\n")
    suffix = live.get("/v2/apps/blue/pods/").json()["results"][0]["name"].rpartition("-")[2]
    assert lines[0] == f"2026-01-02T03:04:05+00:00 blue[web.v2.{suffix}]: hello"
    assert lines[1] == f"2026-01-02T03:04:06+00:00 blue[web.v2.{suffix}]:  indented"
    assert any(re.search(r" deis\[controller\]: INFO build blue-[0-9a-f]{7} created$", line) for line in lines)
    assert len(live.get("/v2/apps/blue/logs?log_lines=2").content.splitlines()) == 2


def test_no_log_is_204(blue, in_process):
    from controller.models import Event

    Event.objects.all().delete()
    answer = blue.get("/v2/apps/blue/logs?log_lines=5")
    assert (answer.status_code, answer.content) == (204, b"")


def test_destroying_takes_the_namespace_and_the_records(live, cluster):
    assert live.delete("/v2/apps/blue/").status_code == 204
    assert cluster.all("Namespace") == [] and cluster.all("Pod") == []
    assert live.get("/v2/apps/blue/").status_code == 404
    assert live.post("/v2/apps/", {"id": "blue"}).status_code == 201


@pytest.mark.parametrize(
    ("build", "structure"),
    [
        ({"procfile": {"web": "x", "worker": "y"}}, {"web": 1}),
        ({"procfile": {"worker": "y"}}, {}),
        ({"procfile": {}}, {"web": 1}),
        ({"procfile": {}, "dockerfile": "true", "ports": [5000]}, {"cmd": 1}),
        ({"procfile": {"web": "x"}, "dockerfile": "true", "ports": [5000]}, {"web": 1}),
    ],
)
def test_the_first_build_decides_what_runs(blue, push, build, structure):
    assert push(**build).status_code == 200
    assert blue.get("/v2/apps/blue/").json()["structure"] == structure


def test_new_types_start_at_none_and_the_others_stay(live, push):
    live.post("/v2/apps/blue/scale/", {"web": 2, "worker": 1})
    push(sha="bbbbbbbb", procfile={"web": "x", "worker": "y", "clock": "z"})
    assert live.get("/v2/apps/blue/").json()["structure"] == {"web": 2, "worker": 1}


def test_an_apps_own_structure_is_taken_as_it_is(bob):
    assert bob.post("/v2/apps/", {"id": "amber", "structure": {"web": 3}}).json()["structure"] == {"web": 3}


@pytest.mark.parametrize(("setting", "status"), [("keep", 200), ("reject", 409)])
def test_what_a_build_without_a_procfile_means_is_the_operators_choice(live, push, settings, setting, status):
    live.post("/v2/apps/blue/scale/", {"worker": 1})
    settings.REMOVE_MISSING_TYPES = False
    settings.REJECT_MISSING_PROCFILE = setting == "reject"
    answer = push(sha="bbbbbbbb", procfile={})
    assert answer.status_code == status
    if setting == "keep":
        assert live.get("/v2/apps/blue/").json()["structure"] == {"web": 1, "worker": 1}
        assert set(live.get("/v2/apps/blue/builds/").json()["results"][0]["procfile"]) == {"web", "worker"}


def test_what_happens_to_an_app_is_in_its_log(live, sign_in):
    sign_in("carol")
    path = "/v2/apps/blue"
    live.post(f"{path}/config/", {"values": {"A": "1"}})
    live.post(f"{path}/domains/", {"domain": "www.example.test"})
    live.delete(f"{path}/domains/www.example.test")
    live.post(f"{path}/settings/", {"label": {"a": "b"}})
    live.post(f"{path}/scale/", {"worker": 1})
    live.post(f"{path}/run", {"command": "true"})
    live.post(f"{path}/perms/", {"username": "carol"})
    live.delete(f"{path}/perms/carol")
    text = live.get(f"{path}/logs?log_lines=500").content.decode()
    for words in (
        r"config blue-[0-9a-f]{7} updated", "domain www.example.test added", "domain www.example.test removed",
        r"build blue-[0-9a-f]{7} created", r"appsettings blue-[0-9a-f]{7} updated", "bob added A",
        "bob scaled pods worker=1", r"bob on blue-run-\w+ runs 'true'", "User carol was granted access to blue",
        "User carol was revoked access to blue",
    ):  # fmt: skip
        assert re.search(rf"^\S+\+00:00 deis\[controller\]: INFO {words}$", text, re.MULTILINE), words


def test_a_log_that_cannot_be_had_is_500_in_words(blue, in_process, monkeypatch):
    from controller.api import logs
    from controller.errors import ClusterTrouble

    def broken(*arguments):
        raise ClusterTrouble("no store")

    monkeypatch.setattr(logs, "read_logs", broken)
    answer = blue.get("/v2/apps/blue/logs")
    assert (answer.status_code, answer.content) == (500, b"Error accessing logs for blue")
