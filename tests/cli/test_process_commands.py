"""Transcripts of schedules, one-off commands, sizes, autoscaling and the log's commands."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.usefixtures("logged_in")

ENTRY = {
    "name": "report", "command": "python report.py", "schedule": "0 3 * * *", "timezone": "UTC", "policy": "forbid",
    "deadline": 3600, "paused": False, "declared": False,
}  # fmt: skip
RUN = {
    "name": "hello-run-x7k2p", "app": "hello", "by": "bob", "kind": "detached", "command": "./import", "release": "v3",
    "state": "running", "exit_code": None, "reason": "", "created": "2026-01-02T03:04:05Z",
    "deadline": "2026-01-03T03:04:05Z", "ended": None,
}  # fmt: skip


def listed(*rows):
    return {"results": list(rows), "count": len(rows)}


def test_schedules_are_listed(platform, paas):
    declared = ENTRY | {"name": "app-1", "declared": True, "command": "./nightly"}
    paused = ENTRY | {"paused": True}
    platform.on("GET /v2/apps/hello/cron/", listed(declared, paused))
    assert paas("cron", "-a", "hello").out == (
        "=== hello Cron\n"
        "Name    Schedule   Time zone  State     Command\n"
        "app-1   0 3 * * *  UTC        app.json  ./nightly\n"
        "report  0 3 * * *  UTC        paused    python report.py\n"
    )
    platform.on("GET /v2/apps/hello/cron/", listed())
    assert "`paas cron:add '0 3 * * *' -- ./nightly` adds one" in paas("cron", "-a", "hello").err


def test_a_schedule_is_added_with_only_what_was_said(platform, paas):
    platform.on("POST /v2/apps/hello/cron/", ENTRY, 201)
    done = paas("cron:add", "0 3 * * *", "--name=report", "-a", "hello", "--", "python", "report.py", "a b")
    assert done.out == "Adding cron entry... done, report\n"
    wanted = {"schedule": "0 3 * * *", "command": "python report.py 'a b'", "name": "report"}
    assert platform.bodies("POST /v2/apps/hello/cron/") == [wanted]


def test_what_is_done_with_a_schedule(platform, paas):
    for deed in ("pause", "resume"):
        platform.on(f"POST /v2/apps/hello/cron/report/{deed}", ENTRY)
    assert paas("cron:pause", "report", "-a", "hello").out == "Pausing cron entry report... done\n"
    assert paas("cron:resume", "report", "-a", "hello").out == "Resuming cron entry report... done\n"
    platform.on("DELETE /v2/apps/hello/cron/report", status=204)
    assert paas("cron:remove", "report", "-a", "hello").out == "Removing cron entry report... done\n"
    platform.on("POST /v2/apps/hello/cron/report/run", {"name": "report-now-x7k2p"}, 201)
    assert paas("cron:run", "report", "-a", "hello").out == "Running report as report-now-x7k2p\n"


def test_how_scheduled_runs_ended(platform, paas):
    row = {
        "name": "report-123", "process": "cron-report.x7k2p", "started": "2026-01-02T03:00:00Z",
        "ended": "2026-01-02T03:00:05Z", "state": "failed", "exit_code": 137, "reason": "out of memory",
    }  # fmt: skip
    platform.on("GET /v2/apps/hello/cron/report/history", listed(row))
    assert paas("cron:history", "report", "-a", "hello").out == (
        "=== hello report Runs\n"
        "Run                Began                 Ended                 State         Reason\n"
        "cron-report.x7k2p  2026-01-02T03:00:00Z  2026-01-02T03:00:05Z  failed (137)  out of memory\n"
    )


def test_what_a_schedule_printed(platform, paas):
    platform.on("GET /v2/apps/hello/cron/", listed(ENTRY))
    platform.on("GET /v2/apps/hello/logs", b"2026-01-02T03:00:01+00:00 hello[cron-report.v3.x7k2p]: done\n")
    assert paas("cron:logs", "report", "-n", "5", "-a", "hello").out.endswith(": done\n")
    assert platform.asked[-1].path == "/v2/apps/hello/logs?log_lines=5&ps=cron-report"
    assert paas("cron:logs", "other", "-a", "hello").code == 4


def test_a_detached_command(platform, paas):
    platform.on("POST /v2/apps/hello/runs/", RUN, 201)
    done = paas("run:detached", "--timeout=60", "-a", "hello", "--", "./import")
    assert done.out == "Running './import' as hello-run-x7k2p\n"
    assert "paas run:logs run-x7k2p" in done.err
    assert platform.bodies("POST /v2/apps/hello/runs/") == [{"command": "./import", "timeout": 60}]
    platform.page("/v2/apps/hello/runs/", [RUN, RUN | {"state": "failed", "exit_code": 3, "ended": "x"}])
    assert paas("runs", "-a", "hello").out == (
        "=== hello One-off Commands\n"
        "Name       State       Release  Began                 Command\n"
        "run-x7k2p  running     v3       2026-01-02T03:04:05Z  ./import\n"
        "run-x7k2p  failed (3)  v3       2026-01-02T03:04:05Z  ./import\n"
    )
    platform.on("GET /v2/apps/hello/runs/run-x7k2p", RUN)
    platform.on("DELETE /v2/apps/hello/runs/hello-run-x7k2p", status=204)
    assert paas("run:stop", "run-x7k2p", "-a", "hello").out == "Stopping hello-run-x7k2p... done\n"
    platform.on("GET /v2/apps/hello/logs", b"line\n")
    assert paas("run:logs", "run-x7k2p", "-a", "hello").out == "line\n"
    assert platform.asked[-1].path == "/v2/apps/hello/logs?ps=run.x7k2p"


def test_run_takes_the_name_of_a_program_for_what_it_is(platform, paas):
    platform.on("POST /v2/apps/hello/run", {"exit_code": 0, "output": "listed\n"})
    assert paas("run", "-a", "hello", "list").out == "Running 'list'...\nlisted\n"


def test_stopping_remembers_and_starting_brings_back(platform, paas):
    platform.on("GET /v2/apps/hello/", {"structure": {"web": 2, "worker": 0}})
    platform.on("POST /v2/apps/hello/ps/stop", {"stopped": ["web"]})
    assert paas("ps:stop", "-a", "hello").out == "Stopping web... done\n"
    platform.on("POST /v2/apps/hello/ps/start", {"started": {"web": 2}})
    platform.on("GET /v2/apps/hello/pods/", listed())
    assert "=== hello Processes" in paas("ps:start", "web", "-a", "hello").out
    assert platform.bodies("POST /v2/apps/hello/ps/start") == [{"types": ["web"]}]


def test_sizes(platform, paas):
    rows = {"web": {"size": "small", "memory": "256M", "cpu": "250m", "count": 2}}
    platform.on("GET /v2/apps/hello/ps/sizes", rows)
    platform.on("POST /v2/apps/hello/ps/sizes", rows, 201)
    platform.on("GET /v2/sizes/", {"small": {"memory": "256M", "cpu": "250m"}})
    shown = paas("ps:type", "-a", "hello")
    assert shown.out == ("=== hello Process Sizes\nType  Size   Memory  CPU   Count\nweb   small  256M    250m  2\n")
    assert "Sizes: small (256M, 250m)" in shown.err
    assert paas("ps:type", "web=small", "-a", "hello").out.startswith("Changing sizes... done\n")
    assert platform.bodies("POST /v2/apps/hello/ps/sizes") == [{"sizes": {"web": "small"}}]
    assert paas("ps:type", "web", "-a", "hello").code == 2


def test_autoscaling_by_what_the_router_sees(platform, paas):
    platform.on("POST /v2/apps/hello/settings/", {}, 201)
    done = paas("autoscale:set", "web", "--min=1", "--max=8", "--requests-per-second=50", "-a", "hello")
    assert done.out == "Applying autoscale settings for process type web on hello... done\n"
    rule = {"min": 1, "max": 8, "requests_per_second": 50}
    assert platform.bodies("POST /v2/apps/hello/settings/") == [{"autoscale": {"web": rule}}]
    platform.on("GET /v2/apps/hello/settings/", {"autoscale": {"web": rule | {"latency_ms": 200}}})
    assert "Requests per second: 50" in paas("autoscale", "-a", "hello").out
    assert "200 ms" in paas("autoscale", "-a", "hello").out
    assert paas("autoscale:set", "web", "--min=1", "--max=8", "-a", "hello").code == 2


def test_the_log_is_searched_by_the_controller(platform, paas):
    platform.on("GET /v2/apps/hello/logs", b"one\n")
    words = ("--ps", "hello-web-6d9f-x7k2p", "--source", "app", "--since", "2h", "-g", "a b")
    assert paas("logs", "-a", "hello", *words).out == "one\n"
    assert platform.asked[-1].path == "/v2/apps/hello/logs?ps=x7k2p&source=app&since=2h&grep=a+b"
    platform.on("GET /v2/apps/hello/logs", status=204)
    silent = paas("logs", "-a", "hello", "-g", "x")
    assert (silent.code, silent.err) == (0, "No line of hello's log matches.\n")
    assert paas("logs", "-f", "--until", "1h", "-a", "hello").code == 2


def test_drains_and_retention(platform, paas):
    row = {"uuid": "d1", "url": "https://bob:…@x.example/", "state": "delivering", "waiting": 3, "by": "bob"}
    platform.on("POST /v2/apps/hello/logs/drains/", row, 201)
    assert paas("logs:drains:add", "https://x.example/", "-a", "hello").out == "Adding log drain... done, d1\n"
    platform.on("GET /v2/apps/hello/logs/drains/", listed(row))
    assert paas("logs", "drains", "-a", "hello").out == (
        "=== hello Log Drains\n"
        "Id  Address                   State       Waiting\n"
        "d1  https://bob:…@x.example/  delivering  3\n"
    )
    platform.on("DELETE /v2/apps/hello/logs/drains/d1", status=204)
    assert paas("logs", "drains", "remove", "d1", "-a", "hello").out == "Removing log drain... done\n"
    platform.on("POST /v2/apps/hello/logs/retention/", {"days": 3, "megabytes": None})
    kept = paas("logs:retention", "--days=3", "--megabytes=0", "-a", "hello")
    assert kept.out == "=== hello Log Retention\ndays:       3\nmegabytes:  the platform's limit\n"
    assert platform.bodies("POST /v2/apps/hello/logs/retention/") == [{"days": 3, "megabytes": None}]
    assert json.loads(paas("logs:drains", "--json", "-a", "hello").out)[0]["uuid"] == "d1"


def test_hooks_are_set_listed_and_removed(platform, paas):
    platform.on("POST /v2/apps/hello/config/", {}, 201)
    held = {"lifecycle_post_start": {"web": "bin/warm"}, "lifecycle_pre_stop": {"web": "bin/finish", "worker": "x y"}}
    platform.on("GET /v2/apps/hello/config/", held)
    shown = (
        "=== hello Hooks\n\n--- web:\npost-start  bin/warm\npre-stop    bin/finish\n\n--- worker:\npre-stop    x y\n"
    )
    assert paas("hooks", "-a", "hello").out == shown
    out = paas("hooks:set", "pre-stop", "-a", "hello", "--", "bin/finish", "--within=20").out
    assert out == "Setting the pre-stop hook of web... done\n\n" + shown
    assert paas("hooks:unset", "post-start", "pre-stop", "--type=worker", "-a", "hello").code == 0
    assert [{name: body[name] for name in body if name.startswith("lifecycle")} for body in
            platform.bodies("POST /v2/apps/hello/config/")] == [
        {"lifecycle_pre_stop": {"web": "bin/finish --within=20"}},
        {"lifecycle_post_start": {"worker": None}, "lifecycle_pre_stop": {"worker": None}},
    ]  # fmt: skip
    assert "it is post-start or pre-stop" in paas("hooks:set", "restart", "ls", "-a", "hello").err
    platform.on("GET /v2/apps/hello/config/", {})
    assert paas("hooks", "-a", "hello").out == "=== hello Hooks\nNo hooks configured.\n"
