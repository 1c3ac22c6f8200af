"""The operator's own settings of controller and registry."""

import pytest

from host.errors import HostError
from host.operator_settings import controller_settings, registry_settings


def test_there_need_be_none(tmp_path):
    assert controller_settings(tmp_path) == {}


def test_values_are_taken_as_they_are(tmp_path):
    (tmp_path / "controller.env").write_text("# mail\nSMTP_URL=smtp://u:p=@mail.example:587?tls=starttls\n\n")
    assert controller_settings(tmp_path) == {"SMTP_URL": "smtp://u:p=@mail.example:587?tls=starttls"}


@pytest.mark.parametrize("line", ["SECRET_KEY_FILE=/etc/passwd", "SMTP_URL", "PATH=/tmp"])
def test_anything_else_is_refused_by_line(tmp_path, line):
    (tmp_path / "controller.env").write_text(f"MAIL_FROM=a@b\n{line}\n")
    with pytest.raises(HostError, match="line 2"):
        controller_settings(tmp_path)


def test_a_copy_of_a_registry_needs_a_place_to_be_served(tmp_path):
    (tmp_path / "registry.env").write_text("REGISTRY_REMOTE_URL=https://registry.example.com\n")
    with pytest.raises(HostError, match="REGISTRY_CACHE_LISTEN"):
        registry_settings(tmp_path)
