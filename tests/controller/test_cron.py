"""Commands on a schedule: added and declared ones become CronJobs of the current release; paused, run, told of."""

import pytest

from controller.cron import check_schedule

APP_JSON = {"cron": [{"command": "./nightly", "schedule": "0 3 * * *", "concurrency_policy": "replace"}]}


def add(api, **body):
    body = {"name": "report", "command": "python report.py $$", "schedule": "*/5 * * * *", **body}
    return api.post("/v2/apps/blue/cron/", body)


def test_an_entry_is_a_cronjob_of_the_current_release(live, cluster, push):
    answer = add(live, timezone="Europe/Berlin", policy="allow", deadline=60)
    assert answer.status_code == 201, answer.content
    spec = cluster.get("CronJob", "blue", "report")["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("*/5 * * * *", "Europe/Berlin", "Allow")
    job = spec["jobTemplate"]["spec"]
    assert (job["activeDeadlineSeconds"], job["backoffLimit"]) == (60, 0)
    container = job["template"]["spec"]["containers"][0]
    assert (container["command"], container["args"]) == (["/runner/init"], ["python report.py $$$$"])
    assert container["envFrom"] == [{"secretRef": {"name": "blue-v2-env"}}]
    assert push(sha="b2c3d4e5").status_code == 200
    template = cluster.get("CronJob", "blue", "report")["spec"]["jobTemplate"]["spec"]["template"]
    assert template["metadata"]["labels"]["version"] == "v3"
    assert template["spec"]["containers"][0]["image"].startswith("127.0.0.1:5000/blue@sha256:b2c3d4e5")


def test_entries_of_app_json_come_and_go_with_the_build(blue, cluster, push):
    assert push(app_json=APP_JSON).status_code == 200
    spec = cluster.get("CronJob", "blue", "app-1")["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("0 3 * * *", "Replace")
    row = blue.get("/v2/apps/blue/cron/app-1/").json()
    assert (row["declared"], row["command"]) == (True, "./nightly")
    assert "app.json" in blue.delete("/v2/apps/blue/cron/app-1/").json()["detail"]
    assert push(sha="b2c3d4e5").status_code == 200
    assert cluster.get("CronJob", "blue", "app-1") is None


def test_a_schedule_of_app_json_that_cannot_be_refuses_the_push(blue, push):
    answer = push(app_json={"cron": [{"command": "x", "schedule": "61 * * * *"}]})
    assert answer.status_code == 400 and "cron[0].schedule" in answer.content.decode()


def test_paused_is_suspended_until_it_is_resumed(live, cluster):
    add(live)
    assert live.post("/v2/apps/blue/cron/report/pause/").json()["paused"] is True
    assert cluster.get("CronJob", "blue", "report")["spec"]["suspend"] is True
    assert live.post("/v2/apps/blue/cron/report/pause/").status_code == 409
    assert live.post("/v2/apps/blue/cron/report/resume/").json()["paused"] is False
    assert cluster.get("CronJob", "blue", "report")["spec"]["suspend"] is False


def test_a_removed_entry_is_gone_from_the_cluster(live, cluster):
    add(live)
    assert live.delete("/v2/apps/blue/cron/report/").status_code == 204
    assert cluster.get("CronJob", "blue", "report") is None
    assert live.delete("/v2/apps/blue/cron/report/").status_code == 404


def test_running_now_makes_a_job_and_the_history_tells_of_it(live, cluster):
    add(live)
    name = live.post("/v2/apps/blue/cron/report/run/").json()["name"]
    assert name.startswith("report-now-")
    job = cluster._objects["Job", "blue", name]
    job["status"] = {
        "startTime": "2026-01-31T10:00:00Z",
        "conditions": [
            {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded",
             "lastTransitionTime": "2026-01-31T10:00:05Z"}
        ],
    }  # fmt: skip
    pod = {"kind": "Pod", "metadata": {"name": f"{name}-x7k2p", "namespace": "blue"}}
    pod["metadata"]["labels"] = {**job["metadata"]["labels"], "job-name": name}
    ended = {"state": {"terminated": {"exitCode": 3, "reason": "Error"}}}
    cluster._put({**pod, "status": {"phase": "Failed", "containerStatuses": [ended]}})
    run = live.get("/v2/apps/blue/cron/report/history/").json()["results"][0]
    assert (run["state"], run["exit_code"], run["process"]) == ("failed", 3, "cron-report.x7k2p")
    assert run["ended"] == "2026-01-31T10:00:05Z"
    assert all(pod["type"] == "web" for pod in live.get("/v2/apps/blue/pods/").json()["results"])


@pytest.mark.parametrize(
    ("field", "value"),
    [("schedule", "* * *"), ("schedule", "60 * * * *"), ("timezone", "Mars/Olympus"), ("timezone", "../etc/passwd"),
     ("policy", "never"), ("deadline", 0), ("name", "Bad Name"), ("command", "")],
)  # fmt: skip
def test_a_bad_field_is_named(live, field, value):
    answer = add(live, **{field: value})
    assert answer.status_code == 400 and field in answer.json()


def test_a_name_is_made_up_and_not_taken_twice(live):
    assert add(live).status_code == 201
    assert add(live).status_code == 409
    assert live.post("/v2/apps/blue/cron/", {"command": "x", "schedule": "@daily"}).json()["name"] == "job-1"


def test_strangers_see_and_do_nothing(live, sign_in):
    add(live)
    eve = sign_in("eve")
    assert eve.get("/v2/apps/blue/cron/").status_code == 403
    assert add(eve, name="mine").status_code == 403
    assert eve.post("/v2/apps/blue/cron/report/run/").status_code == 403
    assert eve.delete("/v2/apps/blue/cron/report/").status_code == 403


@pytest.mark.parametrize("text", ["* * * * *", "*/5 0-6 1,15 jan-mar mon-fri", "@daily", "0 0 * * 7", "5 4 ? * SUN"])
def test_schedules_that_kubernetes_takes(text):
    assert check_schedule(text) == text


@pytest.mark.parametrize("text", ["", "* * * * * *", "5-1 * * * *", "*/0 * * * *", "* 24 * * *", "* * 0 * *", "@never"])
def test_schedules_that_it_does_not(text):
    with pytest.raises(ValueError):
        check_schedule(text)
