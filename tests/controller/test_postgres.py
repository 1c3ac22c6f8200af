"""The same on PostgreSQL: a server of our own, the contract's tests over it, and workers side by side."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.controller import postgres_server

ROOT = Path(__file__).parents[2]
OTHERS = ("operations", "queries", "audit", "key_rotation", "shared_config", "notices", "one_offs", "formation")
CONTRACT = [
    "tests/contracts/deis_api",
    "--ignore=tests/contracts/deis_api/test_go_client.py",  # the same statements once more
    *(f"tests/controller/test_{name}.py" for name in OTHERS),
]


@pytest.fixture(scope="module")
def postgres():
    with postgres_server.started() as url:
        yield url


@pytest.mark.timeout(600)
def test_the_contract_holds_on_postgresql(postgres):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CONTRACT]
    environment = {**os.environ, "DATABASE_URL": postgres}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stdout[-12000:]


@pytest.fixture(autouse=True)
def database():
    """These tests use none of their own."""


@pytest.fixture(autouse=True)
def cluster():
    """Nor a cluster."""


RACE = """
import django, sys, threading
django.setup()
from django.db import connections
from controller.actions import auth, operations
from controller.models import App, Config, Operation, Release

operation = int(sys.argv[1])
won = []

def claim(number):
    if operations.claim(operation, f"{sys.argv[2]}:{number}:1"):
        won.append(number)
    connections.close_all()

threads = [threading.Thread(target=claim, args=(number,)) for number in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(won))
"""

SEED = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from controller.models import App, Config, Operation, Release, User
user = User.objects.create(username="bob")
app = App.objects.create(name="blue", owner=user)
config = Config.objects.create(app=app, owner=user)
release = Release.objects.create(app=app, owner=user, version=1, config=config)
print(Operation.objects.create(app=app, release=release, by=user, kind="deploy").pk)
"""


def test_of_two_worker_processes_with_four_threads_one_gets_an_operation(postgres):
    environment = {**os.environ, "DATABASE_URL": postgres, "DJANGO_SETTINGS_MODULE": "controller.settings.testing"}

    def python(code, *arguments):
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    operation = python(SEED).communicate(timeout=60)[0].strip()
    racers = [python(RACE, operation, name) for name in ("a", "b")]
    assert sorted(racer.communicate(timeout=60)[0].strip() for racer in racers) == ["0", "1"]
