import json

import pytest
import yaml

from registry import server
from registry.errors import SettingsError
from registry.settings import Settings, load


def settings(tmp_path, password="p"):
    return Settings(tmp_path / "data", "127.0.0.1:5000", "paas", password)


def test_the_configuration_listens_where_told_and_demands_a_password(tmp_path):
    config = yaml.safe_load(server.render_config(settings(tmp_path)))
    assert config["http"]["addr"] == "127.0.0.1:5000" and config["auth"]["htpasswd"]["path"].endswith("htpasswd")
    assert config["storage"]["delete"]["enabled"] is True


def test_writing_again_changes_nothing_until_the_password_does(tmp_path):
    path = server.write(settings(tmp_path))
    first = (tmp_path / "data/htpasswd").read_text()
    assert path.stat().st_mode & 0o777 == 0o600 and "p\n" not in first
    server.write(settings(tmp_path))
    assert (tmp_path / "data/htpasswd").read_text() == first
    server.write(settings(tmp_path, "other"))
    assert (tmp_path / "data/htpasswd").read_text() != first


def test_settings_name_what_is_missing(tmp_path):
    with pytest.raises(SettingsError, match="REGISTRY_DATA"):
        load({})
    (tmp_path / "login").write_text(json.dumps({"username": "u"}))
    env = {"REGISTRY_DATA": str(tmp_path), "REGISTRY_CREDENTIALS_FILE": str(tmp_path / "login")}
    with pytest.raises(SettingsError, match="username and password"):
        load(env)
    (tmp_path / "login").write_text(json.dumps({"username": "u", "password": "p"}))
    with pytest.raises(SettingsError, match="REGISTRY_LISTEN"):
        load({**env, "REGISTRY_LISTEN": "5000"})


def test_pushes_are_told_to_whom_the_settings_name(tmp_path):
    assert "notifications" not in yaml.safe_load(server.render_config(settings(tmp_path)))
    (tmp_path / "login").write_text(json.dumps({"username": "u", "password": "p"}))
    (tmp_path / "key").write_text("builder-key\n")
    env = {"REGISTRY_DATA": str(tmp_path), "REGISTRY_CREDENTIALS_FILE": str(tmp_path / "login")}
    env |= {"REGISTRY_NOTIFY_URL": "http://c/v2/hooks/registry/", "REGISTRY_NOTIFY_KEY_FILE": str(tmp_path / "key")}
    (endpoint,) = yaml.safe_load(server.render_config(load(env)))["notifications"]["endpoints"]
    assert endpoint["url"] == "http://c/v2/hooks/registry/"
    assert endpoint["headers"] == {"X-Deis-Builder-Auth": ["builder-key"]}
    with pytest.raises(SettingsError, match="REGISTRY_NOTIFY_KEY_FILE"):
        load({**env, "REGISTRY_NOTIFY_KEY_FILE": str(tmp_path / "none")})
