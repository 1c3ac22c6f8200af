"""`manage.py bootstrap`."""

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db.migrations.recorder import MigrationRecorder

from controller.management.commands import await_database
from controller.models import User


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "password"
    path.write_text("first line\nsecond\n")
    return path


def test_the_first_administrator_can_sign_in(password_file, anonymous):
    call_command("bootstrap", username="root", password_file=str(password_file), email="root@example.test")
    answer = anonymous.post("/v2/auth/login/", {"username": "root", "password": "first line"})
    assert answer.status_code == 200
    me = anonymous.get("/v2/auth/whoami", Authorization=f"token {answer.json()['token']}").json()
    assert (me["is_superuser"], me["email"]) == (True, "root@example.test")


def test_running_it_again_repairs_and_keeps_the_token(password_file, anonymous):
    call_command("bootstrap", username="root", password_file=str(password_file))
    token = User.objects.get(username="root").token()
    User.objects.filter(username="root").update(is_superuser=False, is_active=False, password="!")
    call_command("bootstrap", username="root", password_file=str(password_file))
    answer = anonymous.post("/v2/auth/login/", {"username": "root", "password": "first line"})
    assert answer.json() == {"token": token}


def test_a_missing_password_file_is_named(tmp_path):
    with pytest.raises(CommandError, match="nowhere can't be read"):
        call_command("bootstrap", username="root", password_file=str(tmp_path / "nowhere"))


def test_an_administrator_who_is_there_keeps_the_password(password_file, anonymous):
    call_command("bootstrap", username="root", password_file=str(password_file), unless_there_is_one=True)
    root = User.objects.get(username="root")
    root.set_password("changed since")
    root.save()
    call_command("bootstrap", username="root", password_file=str(password_file), unless_there_is_one=True)
    call_command("bootstrap", username="admin", password_file=str(password_file), unless_there_is_one=True)
    assert User.objects.get(username="root").check_password("changed since")
    assert not User.objects.filter(username="admin").exists()


def test_who_waits_for_the_database_is_told_what_it_lacks(db, monkeypatch, capsys):
    call_command("await_database", migrated=True, seconds=0)
    call_command("await_database", seconds=0)
    monkeypatch.setattr(MigrationRecorder, "applied_migrations", lambda recorder: {})
    with pytest.raises(CommandError, match="the database lacks .* migrations, the first is"):
        call_command("await_database", migrated=True, seconds=0)
    monkeypatch.setattr(await_database, "connection", Away())
    with pytest.raises(CommandError, match="the database doesn't answer .connection refused"):
        call_command("await_database", seconds=0)


class Away:
    """The connection to a server that isn't there."""

    def ensure_connection(self):
        raise OperationalError("connection refused\n")

    def close(self):
        """Nothing is open."""
