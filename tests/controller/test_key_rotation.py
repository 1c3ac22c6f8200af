"""A new key for the encrypted columns: everything readable throughout, the old key of no use afterwards."""

import io

import pytest
from cryptography.fernet import InvalidToken
from django.core.management import CommandError, call_command
from django.db import connection

from controller.actions import key_rotation
from controller.models import Config
from controller.models.secret_fields import decrypt, is_current, key_lines


@pytest.fixture(autouse=True)
def key_file(settings, tmp_path):
    settings.COLUMN_KEYS_FILE = str(tmp_path / "django.key.columns")
    return tmp_path / "django.key.columns"


@pytest.fixture
def configured(blue):
    for number in range(3):
        blue.post("/v2/apps/blue/config/", {"values": {"PASSWORD": f"s3cret{number}"}})
    return blue


def rotate(*words):
    out = io.StringIO()
    call_command("rotate_keys", *words, stdout=out)
    return out.getvalue()


def stored():
    with connection.cursor() as cursor:
        cursor.execute("SELECT values FROM controller_config" if connection.vendor != "sqlite" else
                       'SELECT "values" FROM controller_config')  # fmt: skip
        return [row[0] for row in cursor.fetchall()]


def values(api):
    return api.get("/v2/apps/blue/config/").json()["values"]


def test_every_value_moves_to_the_new_key(configured, key_file):
    before = stored()
    assert not key_file.exists()
    assert "written under the newest of 2 keys" in rotate()
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert not set(before) & set(stored()) and all(is_current(text) for text in stored())
    assert values(configured) == {"PASSWORD": "s3cret2"}
    assert rotate("--drop-old-keys") == "1 older key(s) dropped.\n"
    assert values(configured) == {"PASSWORD": "s3cret2"}
    with pytest.raises(InvalidToken):
        decrypt(before[0])


def test_an_interrupted_rotation_goes_on_where_it_was(configured, monkeypatch):
    real, calls = key_rotation.encrypt, []

    def killed(raw):
        calls.append(raw)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return real(raw)

    monkeypatch.setattr(key_rotation, "encrypt", killed)
    with pytest.raises(KeyboardInterrupt):
        rotate()
    assert values(configured) == {"PASSWORD": "s3cret2"}
    with pytest.raises(CommandError, match="--continue"):
        rotate("--drop-old-keys")
    monkeypatch.setattr(key_rotation, "encrypt", real)
    moved = sum(is_current(text) for text in stored())
    rotate("--continue")
    assert 0 < moved < len(stored()) and len(key_lines()) == 2
    assert all(is_current(text) for text in stored())


def test_a_value_written_meanwhile_wins(configured, monkeypatch):
    real = key_rotation.encrypt

    def overtaken(raw):
        fresh = real(raw)
        for row in Config.objects.all():
            row.values = {"PASSWORD": "newer"}
            row.save(update_fields=["values"])
        return fresh

    monkeypatch.setattr(key_rotation, "encrypt", overtaken)
    rotate()
    assert values(configured) == {"PASSWORD": "newer"}


def test_a_second_rotation_follows_the_first(configured):
    rotate()
    rotate()
    assert len(key_lines()) == 3
    rotate("--drop-old-keys")
    assert len(key_lines()) == 1 and values(configured) == {"PASSWORD": "s3cret2"}


def test_a_lost_key_is_said_so(configured, key_file):
    rotate()
    rotate("--drop-old-keys")
    key_file.write_text("another-key-altogether\n")
    with pytest.raises(CommandError, match="isn't at hand"):
        rotate()
