"""Passwords that hold, guessers kept out, and an administrator always left."""

import pytest
import redis

from controller.actions import login_throttle


class Counters:
    """The few commands of Redis that the throttle uses, in memory."""

    def __init__(self):
        self.counts, self.calls = {}, []

    def mget(self, keys):
        return [self.counts.get(key) for key in keys]

    def ttl(self, key):
        return 240

    def pipeline(self):
        return self

    def incr(self, key):
        self.counts[key] = self.counts.get(key, 0) + 1

    def expire(self, key, seconds):
        assert seconds == 300

    def execute(self):
        """Done as they came."""

    def delete(self, key):
        self.counts.pop(key, None)


@pytest.fixture
def counters(monkeypatch):
    made = Counters()
    monkeypatch.setattr(login_throttle, "connection", lambda: made)
    return made


def tries(api, username, times, password="wrong"):
    return [api.post("/v2/auth/login/", {"username": username, "password": password}) for _ in range(times)]


def test_a_guesser_is_told_how_long_to_wait(bob, anonymous, counters):
    answers = tries(anonymous, "bob", 11)
    assert [answer.status_code for answer in answers] == [400] * 10 + [429]
    assert answers[-1].headers["Retry-After"] == "240"
    assert answers[-1].json() == {"detail": "Too many failed logins; wait 4 minutes and try again."}
    assert tries(anonymous, "bob", 1, "correct horse")[0].status_code == 429


def test_many_names_from_one_address_are_refused_too(admin, anonymous, counters):
    for number in range(50):
        tries(anonymous, f"name{number}", 1)
    assert tries(anonymous, "another", 1)[0].status_code == 429


def test_one_name_from_many_addresses_is_refused_too(bob, anonymous, counters):
    counters.counts["login-failures:name:bob"] = 50
    assert tries(anonymous, "bob", 1)[0].status_code == 429
    assert tries(anonymous, "admin", 1, "correct horse")[0].status_code == 200


def test_a_good_login_forgets_the_slips_before_it(bob, anonymous, counters):
    tries(anonymous, "bob", 9)
    assert tries(anonymous, "bob", 1, "correct horse")[0].status_code == 200
    assert tries(anonymous, "bob", 2)[-1].status_code == 400


def test_without_redis_nobody_is_locked_out(bob, anonymous, monkeypatch):
    def away():
        raise redis.ConnectionError("away")

    monkeypatch.setattr(login_throttle, "connection", away)
    assert tries(anonymous, "bob", 12)[-1].status_code == 400


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short", "too short"),
        ("password", "too common"),
        ("8203948572", "entirely numeric"),
        ("carolcarol", "too similar to the username"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(admin, anonymous, password, words):
    body = {"username": "carolcarol", "password": password, "email": ""}
    answer = anonymous.post("/v2/auth/register/", body)
    assert answer.status_code == 400 and words in answer.json()["password"][0]
    changed = admin.post("/v2/auth/passwd/", {"new_password": "short"})
    assert changed.status_code == 400 and "new_password" in changed.json()


def test_the_last_administrator_stays(bob, admin):
    for refused in (admin.delete("/v2/admin/perms/admin"), admin.delete("/v2/auth/cancel/")):
        assert refused.status_code == 409 and "last administrator" in refused.json()["detail"]
    admin.post("/v2/admin/perms/", {"username": "bob"})
    assert admin.delete("/v2/admin/perms/admin").status_code == 204
    assert bob.delete("/v2/admin/perms/bob").status_code == 409


def test_the_only_user_may_leave(admin):
    assert admin.delete("/v2/auth/cancel/").status_code == 204
