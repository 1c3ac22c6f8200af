"""`release:` of the Procfile and app.json's scripts: when they run, and what happens when they fail."""

import json

import pytest

from controller.actions import carry_out, operations
from controller.models import App, Operation, OutputLine, Release

PROCFILE = {"web": "python app.py", "release": "python migrate.py"}


def jobs(cluster):
    return [m for m in cluster.applied if m["kind"] == "Job"]


def kinds_in_order(cluster):
    return [m["kind"] for m in cluster.applied if m["kind"] in ("Job", "Deployment")]


def spoken(version):
    lines = OutputLine.objects.filter(release__app__name="blue", release__version=version)
    return [(line.source, line.text) for line in lines]


def test_it_runs_in_the_new_release_before_any_process_is_touched(blue, push, cluster):
    assert push(procfile=PROCFILE).status_code == 200
    (job,) = jobs(cluster)
    pod = job["spec"]["template"]["spec"]
    assert kinds_in_order(cluster) == ["Job", "Deployment"]
    assert (job["metadata"]["name"], job["spec"]["backoffLimit"]) == ("release-v2", 0)
    assert job["spec"]["activeDeadlineSeconds"] == 600
    assert pod["containers"][0]["args"] == ["start", "release"]
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "blue-v2-env"}}]
    assert cluster.all("Job") == [], "an ended command leaves nothing"


def test_it_is_no_process(blue, push, cluster):
    push(procfile=PROCFILE)
    assert [d["metadata"]["name"] for d in cluster.all("Deployment")] == ["blue-web"]
    refused = blue.post("/v2/apps/blue/scale/", {"release": 1})
    assert (refused.status_code, "can't be scaled" in refused.json()["detail"]) == (400, True)
    assert blue.get("/v2/apps/blue/pods/").json()["count"] == 1


def test_config_changes_and_rollbacks_run_it_too(blue, push, cluster):
    push(procfile=PROCFILE)
    blue.post("/v2/apps/blue/config/", {"values": {"A": "1"}})
    blue.post("/v2/apps/blue/releases/rollback/", {"version": 2})
    assert [job["metadata"]["name"] for job in jobs(cluster)] == ["release-v2", "release-v3", "release-v4"]


def test_scaling_does_not_run_it(blue, push, cluster):
    push(procfile=PROCFILE)
    blue.post("/v2/apps/blue/scale/", {"web": 3})
    assert len(jobs(cluster)) == 1


def test_its_output_reaches_the_pusher_line_by_line_and_is_kept(blue, builder, cluster):
    cluster.outputs["release"] = "migrating\n\nmigrated 3 tables\n"
    body = {
        "receive_user": "bob", "receive_repo": "blue", "sha": "a1b2c3d4",
        "image": "127.0.0.1:5000/blue@sha256:" + "a" * 64, "procfile": PROCFILE,
    }  # fmt: skip
    answer = builder.post("/v2/hooks/build/", body, Accept="application/x-ndjson")
    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines() if line]
    assert lines[0] == {"step": "Running release: python migrate.py"}
    assert lines[1:4] == [{"message": text, "source": "release"} for text in ("migrating", "", "migrated 3 tables")]
    assert lines[-1] == {"release": {"version": 2}}
    assert ("release", "migrated 3 tables") in spoken(2)


def test_a_failing_one_fails_the_release_and_the_old_one_serves_on(live, push, cluster):
    cluster.commands["release"] = 3
    cluster.outputs["release"] = "no such table: users\n"
    before = cluster.all("Deployment", "blue")
    refused = push(sha="b1b2c3d4", procfile=PROCFILE)
    reason = "the release command failed with exit code 3: no such table: users"
    assert (refused.status_code, refused.json()) == (400, {"detail": reason})
    assert [d["spec"] for d in cluster.all("Deployment", "blue")] == [d["spec"] for d in before]
    assert cluster.all("Job") == []
    release = live.get("/v2/apps/blue/releases/v3/").json()
    assert (release["failed"], release["exception"]) == (True, f"error: {reason}")
    assert App.objects.get(name="blue").current_release().version == 2


def test_one_that_never_ends_is_stopped_at_its_deadline(live, push, cluster, monkeypatch):
    monkeypatch.setattr("controller.cluster.commands.BEYOND", -599.9)
    monkeypatch.setattr("controller.cluster.commands.TICK", 0.05)
    cluster.commands["release"] = "hangs"
    refused = push(sha="b1b2c3d4", procfile=PROCFILE)
    assert "didn't end within 600 s and was stopped; `paas deploys:set release-timeout=" in refused.json()["detail"]
    assert cluster.all("Job") == []


@pytest.fixture
def left_behind(live, push, cluster, monkeypatch):
    """A deploy whose worker died: the message that began it was never taken."""
    monkeypatch.setattr(operations, "enqueue", lambda task, *args: None)
    app = App.objects.get(name="blue")
    release = Release.objects.create(
        app=app, owner=app.owner, version=3, config=app.current_release().config,
        build=app.builds.create(owner=app.owner, image="x/blue@sha256:" + "c" * 64, sha="c0ffee00", procfile=PROCFILE),
    )  # fmt: skip
    return Operation.objects.create(app=app, release=release, by=app.owner, kind="deploy", structure_before={"web": 1})


def test_a_worker_that_takes_over_reads_on_without_telling_twice(left_behind, cluster):
    cluster.outputs["release"] = "one\ntwo\nthree\n"
    for text in ("one", "two"):
        OutputLine.objects.create(release=left_behind.release, operation=left_behind, source="release", text=text)
    carry_out.carry_out(left_behind.pk)
    assert [text for source, text in spoken(3) if source == "release"] == ["one", "two", "three"]


def test_a_worker_that_takes_over_after_it_does_not_run_it_again(left_behind, cluster):
    Operation.objects.filter(pk=left_behind.pk).update(done=["release"])
    carry_out.carry_out(left_behind.pk)
    assert jobs(cluster) == []
    assert App.objects.get(name="blue").current_release().version == 3


def test_scripts_of_app_json_run_around_the_deploy(blue, push, cluster):
    scripts = {"postdeploy": "bin/seed", "dokku": {"predeploy": "bin/check", "postdeploy": "bin/warm"}}
    push(procfile=PROCFILE, app_json={"scripts": scripts})
    assert kinds_in_order(cluster) == ["Job", "Job", "Deployment", "Job", "Job"]
    names = [job["metadata"]["name"] for job in jobs(cluster)]
    assert names == ["predeploy-v2", "release-v2", "postdeploy-v2", "postdeploy-each-v2"]
    assert jobs(cluster)[0]["spec"]["template"]["spec"]["containers"][0]["args"] == ["bin/check"]
    blue.post("/v2/apps/blue/config/", {"values": {"A": "1"}})
    names = [job["metadata"]["name"] for job in jobs(cluster)[4:]]
    assert names == ["predeploy-v3", "release-v3", "postdeploy-each-v3"], "postdeploy is for the first time"


def test_a_failing_script_afterwards_is_told_and_undoes_nothing(blue, push, cluster):
    cluster.commands["postdeploy"] = 1
    assert push(app_json={"scripts": {"postdeploy": "bin/seed"}}).status_code == 200
    assert spoken(2)[-1] == ("platform", "v2 is live, but the postdeploy command failed with exit code 1")


def test_variables_and_counts_of_app_json_are_taken_over_once(blue, push, cluster):
    document = {
        "env": {"GREETING": "hello", "KEY": {"generator": "secret"}, "MAIL": {"required": False}},
        "formation": {"web": {"quantity": 2}, "worker": {"quantity": 1}, "other": {"quantity": 5}},
    }
    assert push(app_json=document).status_code == 200
    values = blue.get("/v2/apps/blue/config/").json()["values"]
    assert (values["GREETING"], len(values["KEY"]), "MAIL" in values) == ("hello", 64, False)
    assert blue.get("/v2/apps/blue/").json()["structure"] == {"web": 2, "worker": 1}
    blue.post("/v2/apps/blue/config/", {"values": {"GREETING": None}})
    blue.post("/v2/apps/blue/scale/", {"worker": 0})
    push(sha="b1b2c3d4", app_json=document)
    again = blue.get("/v2/apps/blue/config/").json()["values"]
    assert ("GREETING" in again, again["KEY"]) == (False, values["KEY"])
    assert blue.get("/v2/apps/blue/").json()["structure"] == {"web": 2, "worker": 0}


def test_a_required_variable_that_nobody_set_refuses_the_build(blue, push):
    refused = push(app_json={"env": {"DATABASE_URL": {"description": "where the data is"}}})
    text = "requires DATABASE_URL (where the data is); set it with `paas config:set DATABASE_URL=…` and deploy again"
    assert (refused.status_code, refused.json()) == (400, {"detail": f"app.json {text}"})
    blue.post("/v2/apps/blue/config/", {"values": {"DATABASE_URL": "x"}})
    assert push(app_json={"env": {"DATABASE_URL": {}}}).status_code == 200


def test_healthchecks_of_app_json_become_probes_unless_the_app_set_its_own(blue, push, cluster):
    checks = {
        "web": [{"type": "readiness", "path": "/up", "wait": 2}],
        "worker": [{"type": "liveness", "command": ["ok"]}],
    }
    push(app_json={"healthchecks": checks, "formation": {"worker": {"quantity": 1}}})

    def container(kind):
        return cluster.get("Deployment", "blue", f"blue-{kind}")["spec"]["template"]["spec"]["containers"][0]

    assert container("web")["readinessProbe"]["httpGet"] == {"path": "/up", "port": 5000}
    assert container("web")["readinessProbe"]["periodSeconds"] == 2
    assert container("worker")["livenessProbe"]["exec"] == {"command": ["ok"]}
    own = {"web/cmd": {"readinessProbe": {"tcpSocket": {"port": 5000}}}}
    blue.post("/v2/apps/blue/config/", {"healthcheck": own})
    assert "tcpSocket" in container("web")["readinessProbe"]
    assert container("worker")["livenessProbe"]["exec"] == {"command": ["ok"]}
