"""What each everyday command asks of the controller, prints, and exits with."""

from __future__ import annotations

import io
import json
import subprocess

import pytest

APP = {
    "id": "hello",
    "uuid": "0f1e",
    "owner": "bob",
    "structure": {"web": 2, "worker": 0},
    "created": "2026-01-02T03:04:05Z",
    "updated": "2026-01-02T03:04:06Z",
}
PODS = [
    {"name": "hello-worker-55-bbbbb", "type": "worker", "state": "up", "release": "v3", "started": ""},
    {"name": "hello-web-1234567890-ccccc", "type": "web", "state": "starting", "release": "v3", "started": ""},
    {"name": "hello-web-1234567890-aaaaa", "type": "web", "state": "up", "release": "v3", "started": ""},
]
PS_TEXT = """\
=== hello Processes
--- web:
hello-web-1234567890-aaaaa up (v3)
hello-web-1234567890-ccccc starting (v3)
--- worker:
hello-worker-55-bbbbb up (v3)
"""

pytestmark = pytest.mark.usefixtures("logged_in")


def pods_page(rows=PODS):
    return {"results": rows, "count": len(rows)}


def test_ps_lists_types_and_names_sorted(platform, paas):
    platform.on("GET /v2/apps/hello/pods/", pods_page())
    assert paas("ps", "-a", "hello").out == PS_TEXT
    assert platform.asked[0].path == "/v2/apps/hello/pods/?limit=1000"
    assert platform.asked[0].headers["Authorization"] == "token " + "a" * 40


def test_every_spelling_reaches_the_same_command(platform, paas):
    platform.on("GET /v2/apps/hello/pods/", pods_page())
    for words in (
        ("ps:list", "--app=hello"),
        ("ps", "list", "--app", "hello"),
        ("-a", "hello", "ps"),
        ("ps", "-ahello"),
    ):
        assert paas(*words).out == PS_TEXT


def test_scale_sets_counts_and_shows_processes(platform, paas, monkeypatch):
    monkeypatch.setenv("DEIS_DRINK_OF_CHOICE", "tea")
    platform.on("POST /v2/apps/hello/scale/", status=204)
    platform.on("GET /v2/apps/hello/pods/", pods_page())
    result = paas("scale", "web=3", "worker=1", "-a", "hello")
    assert result.out == "Scaling processes... but first, tea!\ndone in 0s\n" + PS_TEXT
    assert platform.bodies("POST /v2/apps/hello/scale/") == [{"web": 3, "worker": 1}]


def test_scale_counts_relative_changes_from_the_present(platform, paas):
    platform.on("GET /v2/apps/hello/", APP)
    platform.on("POST /v2/apps/hello/scale/", status=204)
    platform.on("GET /v2/apps/hello/pods/", pods_page())
    paas("ps:scale", "web+1", "worker-2", "-a", "hello")
    assert platform.bodies("POST /v2/apps/hello/scale/") == [{"web": 3, "worker": 0}]


def test_bare_scale_prints_a_line_to_paste_back(platform, paas):
    platform.on("GET /v2/apps/hello/", APP)
    assert paas("ps:scale", "-a", "hello").out == "web=2 worker=0\n"


def test_a_bad_count_is_wrong_usage_and_asks_nothing(platform, paas):
    result = paas("scale", "web", "-a", "hello")
    assert (result.code, platform.asked) == (2, [])
    assert result.err == "Error: 'web' is no process count; write web=3, worker+1 or worker-1.\n"


@pytest.mark.parametrize(
    ("process", "route"),
    [
        ((), "/v2/apps/hello/pods/restart/"),
        (("web",), "/v2/apps/hello/pods/web/restart/"),
        (("my-worker",), "/v2/apps/hello/pods/my-worker/restart/"),
        (("hello-web-1234567890-aaaaa",), "/v2/apps/hello/pods/web/hello-web-1234567890-aaaaa/restart/"),
        (("web-aaaaa",), "/v2/apps/hello/pods/web/hello-web-1234567890-aaaaa/restart/"),
    ],
)
def test_restart_finds_what_is_meant(platform, paas, process, route):
    platform.on("GET /v2/apps/hello/pods/", pods_page())
    platform.on(f"POST {route}", [PODS[2]])
    result = paas("ps:restart", *process, "-a", "hello")
    assert result.out.endswith("=== hello Processes\n--- web:\nhello-web-1234567890-aaaaa up (v3)\n")


def test_restart_of_nothing_says_so(platform, paas):
    platform.on("POST /v2/apps/hello/pods/restart/", [])
    assert paas("ps:restart", "-a", "hello").out.endswith("Could not find any processes to restart\n")


def test_releases_show_failures_and_what_was_cut(platform, paas):
    rows = [
        {"version": 3, "created": "2026-01-02T03:04:05Z", "summary": "bob deployed abc which failed", "failed": True},
        {"version": 2, "created": "2026-01-02T03:04:04Z", "summary": "bob deployed def", "failed": False},
    ]
    platform.page("/v2/apps/hello/releases/", rows, count=5)
    assert paas("releases", "-a", "hello", "-l", "2").out == (
        "=== hello Releases (2 of 5)\n"
        "v3\t2026-01-02T03:04:05Z\tbob deployed abc which failed\tfailed\n"
        "v2\t2026-01-02T03:04:04Z\tbob deployed def\n"
    )
    assert platform.asked[0].path.endswith("?limit=2&detail=true")
    assert json.loads(paas("releases", "-a", "hello", "--json").out) == rows


@pytest.mark.parametrize(
    ("words", "body", "title"),
    [
        ((), None, "Rolling back one release... "),
        (("v2",), {"version": 2}, "Rolling back to v2... "),
        (("2",), {"version": 2}, "Rolling back to v2... "),
    ],
)
def test_rollback_with_and_without_v(platform, paas, words, body, title):
    platform.on("POST /v2/apps/hello/releases/rollback/", {"version": 7}, 201)
    assert paas("rollback", *words, "-a", "hello").out == f"{title}done, v7\n"
    assert platform.bodies("POST /v2/apps/hello/releases/rollback/") == [body]


def test_config_set_unset_and_list(platform, paas):
    platform.on("POST /v2/apps/hello/config/", {"values": {"B": "2", "GREETING": "hi there"}}, 201)
    platform.on("GET /v2/apps/hello/config/", {"values": {"GREETING": "hi there", "B": "2"}})
    listing = "=== hello Config\nB             2\nGREETING      hi there\n"
    result = paas("config:set", "GREETING=hi there", "URL=a=b", "-a", "hello")
    assert result.out == f"Creating config... done\n\n{listing}"
    assert paas("config:unset", "OLD", "-a", "hello").out == f"Removing config... done\n\n{listing}"
    assert platform.bodies("POST /v2/apps/hello/config/") == [
        {"values": {"GREETING": "hi there", "URL": "a=b"}},
        {"values": {"OLD": None}},
    ]
    assert paas("config", "-a", "hello").out == listing
    assert paas("config", "--oneline", "-a", "hello").out == "B=2 GREETING=hi there\n"
    assert paas("config:list", "--diff", "-a", "hello").out == "B=2\nGREETING=hi there\n"
    assert paas("config:pull", "-a", "hello").out == "B=2\nGREETING=hi there\n"


def test_config_push_reads_a_file(platform, paas, home):
    (home / "hello" / "prod.env").write_text("# production\nA=1\n\nB=x=y\n")
    platform.on("POST /v2/apps/hello/config/", {"values": {}}, 201)
    platform.on("GET /v2/apps/hello/config/", {"values": {}})
    assert paas("config:push", "-p", "prod.env", "-a", "hello").code == 0
    assert platform.bodies("POST /v2/apps/hello/config/") == [{"values": {"A": "1", "B": "x=y"}}]


def test_config_push_prefers_what_is_piped_in_to_the_usual_file(platform, paas, home, monkeypatch):
    (home / "hello" / ".env").write_text("FROM=file\n")
    platform.on("POST /v2/apps/hello/config/", {"values": {}}, 201)
    platform.on("GET /v2/apps/hello/config/", {"values": {}})
    monkeypatch.setattr("sys.stdin", io.StringIO("FROM=pipe\n"))
    paas("config:push", "-a", "hello")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    paas("config:push", "-a", "hello")
    sent = [body["values"]["FROM"] for body in platform.bodies("POST /v2/apps/hello/config/")]
    assert sent == ["pipe", "file"]


def test_config_edit_sends_the_difference_at_once(platform, paas, home, monkeypatch):
    editor = home / "editor"
    editor.write_text('#!/bin/sh\nsed -i -e "s/^A=.*/A=2/" -e /^B=/d "$1"\necho C=3 >> "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    values = {"A": "1", "B": "1", "KEEP": "same", "LONG": "two\nlines"}
    platform.on("GET /v2/apps/hello/config/", {"values": values})
    platform.on("POST /v2/apps/hello/config/", {"values": {}}, 201)
    assert paas("config:edit", "-a", "hello").code == 0
    assert platform.bodies("POST /v2/apps/hello/config/") == [{"values": {"A": "2", "B": None, "C": "3"}}]
    monkeypatch.setenv("EDITOR", "true")
    assert paas("config:edit", "-a", "hello").out == "Nothing changed.\n"
    monkeypatch.setenv("EDITOR", "false")
    assert "nothing was changed" in paas("config:edit", "-a", "hello").err


def test_info_shows_address_processes_domains_labels(platform, paas):
    platform.on("GET /v2/info", {"app_url_template": "http://{app}.paas.localhost:8080"})
    platform.on("GET /v2/apps/hello/", APP)
    platform.on("GET /v2/apps/hello/pods/", pods_page(PODS[2:]))
    platform.page("/v2/apps/hello/domains/", [{"domain": "a.example.test"}, {"domain": "hello"}])
    platform.on("GET /v2/apps/hello/settings/", {"label": {"team": "blue"}})
    assert paas("info", "-a", "hello").out == (
        "=== hello Application\n"
        "updated:  2026-01-02T03:04:06Z\n"
        "uuid:     0f1e\n"
        "created:  2026-01-02T03:04:05Z\n"
        "url:      http://hello.paas.localhost:8080\n"
        "owner:    bob\n"
        "id:       hello\n"
        "\n=== hello Processes\n--- web:\nhello-web-1234567890-aaaaa up (v3)\n"
        "\n=== hello Domains\na.example.test\nhello\n"
        "\n=== hello Label\nteam:  blue\n"
    )


def test_domains_come_and_go(platform, paas):
    platform.on("POST /v2/apps/hello/domains/", {"domain": "www.example.test"}, 201)
    platform.on("DELETE /v2/apps/hello/domains/www.example.test", status=204)
    added = paas("domains:add", "www.example.test", "-a", "hello")
    assert added.out == "Adding www.example.test to hello... done\n"
    removed = paas("domains:remove", "www.example.test", "-a", "hello")
    assert removed.out == "Removing www.example.test from hello... done\n"


def test_logs_print_text_or_say_why_there_is_none(platform, paas):
    platform.on("GET /v2/apps/hello/logs", b"2026-01-02T03:04:05+00:00 hello[web.v2.abc]: one\nsecond\n")
    result = paas("logs", "-n", "5", "-a", "hello")
    assert result.out == "2026-01-02T03:04:05+00:00 hello[web.v2.abc]: one\nsecond\n"
    assert platform.asked[0].path == "/v2/apps/hello/logs?log_lines=5"
    platform.on("GET /v2/apps/hello/logs", status=204)
    silent = paas("logs", "-a", "hello")
    assert silent.code == 1
    assert "There are no log messages of hello yet" in silent.err


def test_followed_logs_go_on_where_an_answer_ended_until_they_are_refused(platform, paas, monkeypatch):
    """The second answer begins with what the first ended with."""
    monkeypatch.setattr("cli.commands.logs.AGAIN", 0)
    second = "2026-01-02T03:04:05+00:00 hello[web.v2.abc]: "
    answers = [
        f"2026-01-02T03:04:04+00:00 hello[web.v2.abc]: none\n\n{second}one\n{second}one\n",
        f"{second}one\n{second}one\n{second}one\n{second}two\n\n",
    ]
    refusal = {"detail": "You do not have permission to perform this action."}
    platform.on_in_turn("GET /v2/apps/hello/logs", *[(200, text.encode()) for text in answers], (403, refusal))
    result = paas("logs", "-f", "-a", "hello")
    assert [line.rpartition(" ")[2] for line in result.out.splitlines()] == ["none", "one", "one", "one", "two"]
    assert result.code == 5 and "You have no permission to do that" in result.err
    asked = [call.path for call in platform.asked]
    assert asked[0] == "/v2/apps/hello/logs?follow=true"
    assert "since=2026-01-02T03%3A04%3A05%2B00%3A00" in asked[1] and len(asked) == 3


def test_run_passes_output_and_exit_code_through(platform, paas):
    platform.on("POST /v2/apps/hello/run", {"exit_code": 0, "output": "Python 3.13\n"})
    result = paas("run", "-a", "hello", "--", "python", "-V")
    assert (result.code, result.out) == (0, "Running 'python -V'...\nPython 3.13\n")
    platform.on("POST /v2/apps/hello/run", {"exit_code": 42, "output": "no"})
    result = paas("run", "-a", "hello", "python", "-c", "print('a b')")
    assert (result.code, result.err) == (42, "no\n")
    paas("run", "-a", "hello", "echo $HOME | wc")
    assert [body["command"] for body in platform.bodies("POST /v2/apps/hello/run")] == [
        "python -V",
        """python -c 'print('"'"'a b'"'"')'""",
        "echo $HOME | wc",
    ]


def test_create_makes_the_remote_the_platform_names(platform, paas, repository):
    platform.on("POST /v2/apps/", APP, 201)
    platform.on("GET /v2/info", {"git_ssh_url": "ssh://git@git.example.test:2222"})
    result = paas("create", "hello")
    assert result.out == (
        "Creating Application... done, created hello\nGit remote deis successfully created for app hello.\n"
    )
    assert platform.bodies("POST /v2/apps/") == [{"id": "hello"}]
    assert remote_of(repository) == "ssh://git@git.example.test:2222/hello.git"


def test_create_on_a_deis_controller_derives_the_remote(platform, paas, repository, logged_in):
    profile = json.loads(logged_in.read_text())
    logged_in.write_text(json.dumps(profile | {"controller": f"http://127.0.0.1:{platform.port}"}))
    platform.on("POST /v2/apps/", APP, 201)
    assert paas("create").code == 0
    assert platform.bodies("POST /v2/apps/") == [None]
    assert remote_of(repository) == "ssh://git@127-builder.0.0.1:2222/hello.git"


def test_create_leaves_a_foreign_remote_alone_and_names_the_command(platform, paas, repository):
    subprocess.run(["git", "-C", str(repository), "remote", "add", "deis", "ssh://git@other/x.git"], check=True)
    platform.on("POST /v2/apps/", APP, 201)
    platform.on("GET /v2/info", {"git_ssh_url": "ssh://git@git.example.test:2222"})
    result = paas("create", "hello")
    assert result.code == 1
    assert "paas git:remote --force -a hello" in result.err
    assert remote_of(repository) == "ssh://git@other/x.git"
    assert paas("git:remote", "--force", "-a", "hello").code == 0
    assert remote_of(repository) == "ssh://git@git.example.test:2222/hello.git"


def test_the_app_is_read_from_the_remote_then_from_the_folder(platform, paas, repository):
    platform.on("GET /v2/apps/hello/pods/", pods_page())
    platform.on("GET /v2/apps/shop/pods/", pods_page([]))
    assert "=== hello Processes" in paas("ps").out
    subprocess.run(["git", "-C", str(repository), "remote", "add", "deis", "ssh://git@x:2222/shop.git"], check=True)
    assert "=== shop Processes" in paas("ps").out


def test_the_app_is_read_from_a_remote_of_any_name_where_the_platform_takes_pushes(
    platform, paas, repository, logged_in
):
    """The controller may be known by another name than the host that git pushes to."""
    profile = json.loads(logged_in.read_text())
    logged_in.write_text(json.dumps(profile | {"controller": f"http://127.0.0.1:{platform.port}"}))
    platform.on("GET /v2/apps/shop/pods/", pods_page([]))
    platform.on("GET /v2/apps/hello/pods/", pods_page([]))
    platform.on("GET /v2/info", {"git_ssh_url": "ssh://git@git.example.test:2222"})

    def remote(name, url):
        subprocess.run(["git", "-C", str(repository), "remote", "add", name, url], check=True)

    remote("origin", "ssh://git@github.example/team/other.git")
    assert "=== hello Processes" in paas("ps").out
    assert [one.path for one in platform.asked if one.path == "/v2/info"] == []  # nothing here may be the platform's
    remote("elsewhere", "ssh://git@git.example.test:22/other.git")
    remote("prod", "ssh://git@git.example.test:2222/shop.git")
    assert "=== shop Processes" in paas("ps").out
    platform.on("DELETE /v2/apps/shop/", status=204)
    assert "Git remotes for app shop removed.\n" in paas("destroy", "--confirm=shop").out


def test_destroy_needs_the_right_name_and_removes_remotes(platform, paas, repository):
    platform.on("DELETE /v2/apps/hello/", status=204)
    subprocess.run(
        ["git", "-C", str(repository), "remote", "add", "deis", "ssh://git@paas.localhost:2222/hello.git"], check=True
    )
    wrong = paas("destroy", "--confirm=other")
    assert (wrong.code, platform.asked) == (2, [])
    right = paas("destroy", "--confirm=hello")
    assert right.out == "Destroying hello...\ndone in 0s\nGit remotes for app hello removed.\n"
    assert remote_of(repository) is None


def test_open_prefers_the_apps_own_name(platform, paas, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    platform.on("GET /v2/info", {"app_url_template": "http://{app}.paas.localhost:8080"})
    platform.page("/v2/apps/hello/domains/", [{"domain": "a.example.test"}, {"domain": "hello"}])
    assert paas("open", "-a", "hello").code == 0
    assert opened == ["http://hello.paas.localhost:8080"]


def remote_of(folder):
    done = subprocess.run(["git", "-C", str(folder), "remote", "get-url", "deis"], capture_output=True, text=True)
    return done.stdout.strip() or None


def test_a_write_only_variable_is_read_from_standard_input(platform, paas, monkeypatch):
    platform.on("POST /v2/apps/hello/config/", {"values": {"TOKEN": "********"}}, 201)
    platform.on("GET /v2/apps/hello/config/", {"values": {"TOKEN": "********"}, "secrets": ["TOKEN"]})
    monkeypatch.setattr("sys.stdin", io.StringIO("s3cret\n"))
    result = paas("config:set", "--secret", "TOKEN=-", "-a", "hello")
    assert result.out.endswith("=== hello Config\nTOKEN      ********\n")
    assert platform.bodies("POST /v2/apps/hello/config/") == [{"values": {"TOKEN": "s3cret"}, "secrets": ["TOKEN"]}]
    pulled = paas("config:pull", "-a", "hello")
    assert (pulled.out, pulled.err) == ("", "Left out, because nobody is shown them: TOKEN\n")
    assert "Only one variable" in paas("config:set", "A=-", "B=-", "-a", "hello").err


def test_config_edit_shows_the_difference_and_keeps_a_broken_text(platform, paas, home, monkeypatch):
    platform.on("GET /v2/apps/hello/config/", {"values": {"A": "1", "T": "********"}, "secrets": ["T"]})
    platform.on("POST /v2/apps/hello/config/", {"values": {}}, 201)
    editor = home / "editor"
    editor.write_text('#!/bin/sh\nprintf "A=2\\nT=s3cret\\n" > "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    out = paas("config:edit", "-a", "hello").out
    assert out.startswith("-A=1\n+A=2\n-T=********\n+T=********\nChanging config... done\n")
    assert platform.bodies("POST /v2/apps/hello/config/") == [{"values": {"A": "2", "T": "s3cret"}}]
    editor.write_text('#!/bin/sh\nprintf "A=2\\nnonsense\\n" > "$1"\n')
    broken = paas("config:edit", "-a", "hello")
    assert broken.code == 2 and "Line 2: 'nonsense' is no variable" in broken.err
    kept = broken.err.strip().rpartition(" ")[2]
    with open(kept) as file:
        assert file.read() == "A=2\nnonsense\n"
    assert len(platform.bodies("POST /v2/apps/hello/config/")) == 1


def test_shared_config_is_shown_with_its_origin(platform, paas):
    shared = {"REGION": {"value": "north", "from": "group shared"}, "DB": {"value": "********", "from": "store.URL"}}
    platform.on("GET /v2/apps/hello/config/", {"values": {"A": "1"}, "shared": shared})
    assert paas("config", "-a", "hello").out == (
        "=== hello Config\nA      1\n\n=== Shared\nDB          ******** (store.URL)\nREGION      north (group shared)\n"
    )


HOOK = {"id": 3, "url": "https://ci.example.com/x", "events": ["deploy.failed"], "owner": "bob"}
DELIVERY = {
    "id": 17, "event": "deploy.failed", "time": "2026-01-02T03:04:05Z", "state": "queued", "attempts": 2,
    "status": 500, "error": "answered with status 500", "next_try": "2026-01-02T03:05:05Z",
}  # fmt: skip


def test_webhooks_are_listed_added_and_tried(platform, paas):
    platform.page("/v2/apps/hello/webhooks/", [HOOK])
    assert paas("webhooks", "-a", "hello").out == (
        "=== hello Webhooks\nID  URL                       EVENTS\n3   https://ci.example.com/x  deploy.failed\n"
    )
    platform.on("POST /v2/apps/hello/webhooks/", {**HOOK, "secret": "s" * 64}, 201)
    added = paas("webhooks:add", HOOK["url"], "--events=deploy.failed", "-a", "hello")
    assert added.out == f"Webhook 3 of hello is added.\nIts secret, which is not shown again: {'s' * 64}\n"
    assert platform.bodies("POST /v2/apps/hello/webhooks/") == [{"url": HOOK["url"], "events": ["deploy.failed"]}]
    platform.on("POST /v2/apps/hello/webhooks/3/test/", DELIVERY, 201)
    assert paas("webhooks:test", "3", "-a", "hello").out.startswith("Delivery 17 is on its way;")
    platform.on("DELETE /v2/apps/hello/webhooks/3", status=204)
    assert paas("webhooks:remove", "3", "-a", "hello").out == "Removing webhook 3 of hello... done\n"


def test_deliveries_say_how_they_went(platform, paas):
    sent = {**DELIVERY, "id": 16, "state": "sent", "status": 204, "error": "", "attempts": 1}
    lost = {**DELIVERY, "id": 15, "state": "failed", "attempts": 7}
    platform.page("/v2/apps/hello/webhooks/3/deliveries/", [DELIVERY, sent, lost])
    assert paas("webhooks:deliveries", "3", "-a", "hello").out == (
        "=== Deliveries of webhook 3\n"
        "ID  TIME                  EVENT          TRIES  STATE\n"
        "17  2026-01-02T03:04:05Z  deploy.failed  2      again at 2026-01-02T03:05:05Z: answered with status 500\n"
        "16  2026-01-02T03:04:05Z  deploy.failed  1      sent (204)\n"
        "15  2026-01-02T03:04:05Z  deploy.failed  7      failed: answered with status 500\n"
    )
    platform.on("POST /v2/apps/hello/webhooks/3/deliveries/17/redeliver/", {**DELIVERY, "id": 18}, 201)
    assert "Delivery 18 is on its way" in paas("webhooks:redeliver", "3", "17", "-a", "hello").out


def test_mail_is_addressed_tried_and_looked_up(platform, paas):
    platform.on("POST /v2/notifications/address/", {"email": "b@x.test"})
    assert paas("notifications:address", "b@x.test").out == "Mail to you goes to b@x.test.\n"
    row = {"id": 7, "time": "2026-01-02T03:04:05Z", "app": None, "event": "ping", "attempts": 1, "status": None}
    platform.on("POST /v2/notifications/test/", row, 201)
    assert (
        paas("notifications:test").out == "Mail 7 is on its way; `paas notifications:deliveries` tells how it went.\n"
    )
    late = {
        "id": 8,
        "app": "hello",
        "event": "deploy.failed",
        "state": "queued",
        "error": "no server",
        "next_try": "soon",
    }
    rows = [row | late, row | {"state": "sent", "error": "", "next_try": None}]
    platform.on("GET /v2/notifications/deliveries/", {"count": 2, "next": None, "previous": None, "results": rows})
    assert paas("notifications:deliveries").out == (
        "=== Mail to you\n"
        "ID  TIME                  APP    EVENT          TRIES  STATE\n"
        "8   2026-01-02T03:04:05Z  hello  deploy.failed  1      again at soon: no server\n"
        "7   2026-01-02T03:04:05Z  -      ping           1      sent\n"
    )


def test_notifications_are_turned_on_and_off(platform, paas):
    platform.on("GET /v2/notifications/", {"email": "b@x.test", "mail": [{"app": None, "events": []}]})
    assert paas("notifications").out == "=== Mail to b@x.test\nevery app  all events\n"
    platform.on("POST /v2/notifications/", {}, 201)
    platform.on("DELETE /v2/notifications/", status=204)
    assert paas("notifications:on", "--events=deploy.failed", "-a", "hello").out == "You get mail about hello.\n"
    assert platform.bodies("POST /v2/notifications/") == [{"app": "hello", "events": ["deploy.failed"]}]
    assert paas("notifications:off").out == "You get no more mail about every app.\n"


def test_two_factor_is_turned_on(platform, paas, monkeypatch):
    platform.on("POST /v2/auth/totp/", {"secret": "ABC", "uri": "otpauth://totp/x"}, 201)
    platform.on("POST /v2/auth/totp/confirm/", {"recovery_codes": ["1111-2222"]}, 201)
    monkeypatch.setattr("sys.stdin", io.StringIO("123456\n"))
    out = paas("twofactor:on", "--password=secret").out
    assert "  otpauth://totp/x\n  secret: ABC\n" in out and out.endswith("keep them:\n  1111-2222\n")
    assert platform.bodies("POST /v2/auth/totp/confirm/") == [{"code": "123456"}]
    platform.on("GET /v2/auth/totp/", {"enabled": True, "recovery_codes_left": 9})
    assert paas("twofactor").out == "Two-factor is on; 9 recovery codes are left.\n"
