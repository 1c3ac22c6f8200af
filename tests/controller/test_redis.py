"""What Redis is for besides the queue: nudges, and counting failed logins. Over a real server."""

import shutil
import subprocess
import threading
import time

import pytest
import redis

from controller import wakeups


@pytest.fixture
def server(tmp_path, settings):
    """A Redis on a socket of its own; the controller uses it."""
    path = tmp_path / "redis.sock"
    command = [shutil.which("redis-server"), "--port", "0", "--unixsocket", str(path), "--dir", str(tmp_path)]
    process = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)
    settings.REDIS_URL = f"unix://{path}"
    wakeups.connection.cache_clear()
    deadline = time.monotonic() + 60
    while True:
        try:
            wakeups.connection().ping()
            break
        except redis.RedisError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    yield process
    process.terminate()
    process.wait(timeout=60)
    wakeups.connection.cache_clear()


def test_a_nudge_wakes_at_once(server):
    with wakeups.Waiter("topic") as waiter:
        began = time.monotonic()
        threading.Timer(0.1, wakeups.wake, ["topic"]).start()
        waiter.wait(60)
        assert time.monotonic() - began < 30


def test_without_redis_waiting_is_short_and_blind(server):
    with wakeups.Waiter("topic") as waiter:
        server.terminate()
        server.wait(timeout=60)
        began = time.monotonic()
        waiter.wait(60)
        waiter.wait(60)
        assert time.monotonic() - began < 30


def test_many_wrong_passwords_lock_the_name_for_that_address_only(server, bob, anonymous, settings):
    settings.LOGIN_FAILURES = 3

    def login(password, address="192.0.2.1"):
        body = {"username": "bob", "password": password}
        return anonymous.post("/v2/auth/login/", body, **{"X-Forwarded-For": f"6.6.6.6, {address}"}).status_code

    assert [login("wrong") for _ in range(4)] == [400, 400, 400, 429]
    assert login("correct horse") == 429
    assert login("correct horse", address="192.0.2.2") == 200


def test_without_redis_nobody_is_locked_out(bob, anonymous, settings):
    settings.LOGIN_FAILURES = 1
    for _ in range(3):
        body = {"username": "bob", "password": "wrong"}
        assert anonymous.post("/v2/auth/login/", body).status_code == 400
