"""What `app.json` may say, and what is told of one that can't be read."""

import pytest

from controller.app_json import AppJson, Check, Cron, Scripts, Variable, read
from controller.errors import Invalid

FULL = {
    "name": "blue",
    "logo": "https://example.test/logo.svg",
    "addons": ["heroku-postgresql"],
    "environments": {"test": {}},
    "env": {
        "GREETING": "hello",
        "SECRET_KEY": {"description": "signs cookies", "generator": "secret"},
        "MAIL": {"required": False},
        "DATABASE_URL": {"description": "where the data is"},
    },
    "formation": {"web": {"quantity": 2, "size": "standard-1x"}, "worker": {"quantity": 1}, "clock": {}},
    "scripts": {"postdeploy": {"command": "bin/seed"}, "dokku": {"predeploy": "bin/check", "postdeploy": "bin/warm"}},
    "cron": [{"command": "bin/report", "schedule": "@daily", "concurrency_policy": "forbid"}],
    "buildpacks": [{"url": "https://example.test/buildpack.git"}],
    "healthchecks": {
        "web": [
            {"type": "readiness", "path": "/up", "attempts": 5, "wait": 2, "timeout": 3, "initialDelay": 1},
            {"type": "liveness", "command": ["bin/alive"]},
        ]
    },
}


def test_every_part_is_read():
    found = read(FULL)
    assert found.env == {
        "GREETING": Variable(value="hello"),
        "SECRET_KEY": Variable(description="signs cookies", generated=True),
        "MAIL": Variable(required=False),
        "DATABASE_URL": Variable(description="where the data is"),
    }
    assert found.formation == {"web": 2, "worker": 1}
    assert found.scripts == Scripts(postdeploy="bin/seed", predeploy="bin/check", after_each="bin/warm")
    assert found.cron == (Cron("bin/report", "@daily", "forbid"),)
    assert found.buildpacks == ("https://example.test/buildpack.git",)
    assert found.healthchecks["web"] == (
        Check(type="readiness", path="/up", attempts=5, wait=2, timeout=3, initial_delay=1),
        Check(type="liveness", command=("bin/alive",)),
    )


def test_no_file_and_an_empty_one_say_nothing():
    assert read(None) == read({}) == AppJson()


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "the file: an object is expected"),
        ({"env": []}, "env: an object is expected"),
        ({"env": {"A-B": "1"}}, "env.A-B: a variable's name"),
        ({"env": {"A": {"generator": "uuid"}}}, "env.A.generator: the only generator is secret"),
        ({"formation": {"web": {"quantity": -1}}}, "formation.web.quantity: a whole number from 0"),
        ({"formation": {"web": {"quantity": True}}}, "formation.web.quantity: a whole number"),
        ({"formation": {"Web": {"quantity": 1}}}, "formation.Web: a process type"),
        ({"scripts": {"postdeploy": 1}}, "scripts.postdeploy: a text"),
        ({"cron": [{"schedule": "@daily"}]}, r"cron\[0\].command: a text"),
        ({"cron": [{"command": "a", "schedule": "@daily", "concurrency_policy": "no"}]}, "concurrency_policy: it is"),
        ({"healthchecks": {"web": [{"type": "ready"}]}}, r"healthchecks.web\[0\].type: it is one of startup"),
        ({"healthchecks": {"web": [{"type": "startup"}]}}, "exactly one of command, path, listening and uptime"),
        ({"healthchecks": {"web": [{"type": "startup", "path": "/", "port": 0}]}}, "port: a whole number from 1"),
        ({"logo": "\0"}, "the file: it may hold no NUL"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(document, complaint):
    with pytest.raises(Invalid, match=complaint):
        read(document)


def test_a_build_keeps_the_document_and_refuses_a_bad_one(blue, push):
    from controller.models import Build

    refused = push(app_json={"cron": [{}]})
    assert (refused.status_code, list(refused.json())) == (400, ["app_json"])
    assert push(app_json=FULL | {"env": {}}).status_code == 200
    assert Build.objects.get().app_json == FULL | {"env": {}}
