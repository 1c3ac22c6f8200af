"""`manage.py bootstrap`."""

import pytest
from django.core.management import CommandError, call_command

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
