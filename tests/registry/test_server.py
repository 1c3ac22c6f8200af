import json

import pytest
import yaml

from host.secret_files import signing_pair
from registry import server
from registry.errors import SettingsError
from registry.settings import Settings, load, server_environment


def settings(tmp_path, **more):
    return Settings(tmp_path / "data", "127.0.0.1:5000", "http://127.0.0.1:8000/v2/registry/token", **more)


@pytest.fixture
def environment(tmp_path):
    certificate = tmp_path / "tokens.crt"
    certificate.write_text(signing_pair()[1])
    return {
        "REGISTRY_DATA": str(tmp_path),
        "REGISTRY_TOKEN_REALM": "http://127.0.0.1:8000/v2/registry/token",
        "REGISTRY_TOKEN_CERT_FILE": str(certificate),
    }


def test_the_configuration_listens_where_told_and_asks_for_tokens(tmp_path):
    config = yaml.safe_load(server.render_config(settings(tmp_path, token_certificate=tmp_path / "tokens.crt")))
    assert config["http"]["addr"] == "127.0.0.1:5000"
    assert config["auth"]["token"]["realm"].endswith("/v2/registry/token")
    assert config["storage"]["delete"]["enabled"] and not config["storage"]["maintenance"]["readonly"]["enabled"]
    only_read = yaml.safe_load(server.render_config(settings(tmp_path), read_only=True))
    assert only_read["storage"]["maintenance"]["readonly"]["enabled"]


def test_files_are_for_their_owner_only(tmp_path):
    assert server.write(settings(tmp_path)).stat().st_mode & 0o777 == 0o600


def test_images_may_be_kept_in_a_bucket(tmp_path, environment):
    (tmp_path / "s3").write_text(json.dumps({"access_key": "a", "secret_key": "s"}))
    bucket = {
        "REGISTRY_S3_BUCKET": "images",
        "REGISTRY_S3_ENDPOINT": "https://s3.example.com",
        "REGISTRY_S3_CREDENTIALS_FILE": str(tmp_path / "s3"),
    }
    loaded = load({**environment, **bucket})
    config = yaml.safe_load(server.render_config(loaded))["storage"]
    assert "filesystem" not in config and config["s3"]["bucket"] == "images" and config["s3"]["secure"]
    assert "'s'" not in repr(loaded)
    (tmp_path / "s3").write_text("{}")
    with pytest.raises(SettingsError, match="REGISTRY_S3_CREDENTIALS_FILE.*access_key"):
        load({**environment, **bucket})


def test_a_copy_of_a_public_registry_needs_no_tokens(tmp_path):
    loaded = load({"REGISTRY_DATA": str(tmp_path), "REGISTRY_REMOTE_URL": "https://registry.example.com"})
    config = yaml.safe_load(server.render_config(loaded))
    assert config["proxy"] == {"remoteurl": "https://registry.example.com"} and "auth" not in config


def test_settings_name_what_is_missing_or_wrong(environment):
    with pytest.raises(SettingsError, match="REGISTRY_DATA"):
        load({})
    for name, value in (
        ("REGISTRY_TOKEN_REALM", ""),
        ("REGISTRY_TOKEN_CERT_FILE", "/nowhere"),
        ("REGISTRY_LISTEN", "5000"),
        ("REGISTRY_NOTIFY_KEY_FILE", "/nowhere"),
        ("REGISTRY_REMOTE_URL", "registry"),
    ):
        with pytest.raises(SettingsError, match=name):
            load({**environment, name: value})


def test_pushes_are_told_to_whom_the_settings_name(tmp_path, environment):
    assert "notifications" not in yaml.safe_load(server.render_config(settings(tmp_path)))
    (tmp_path / "key").write_text("builder-key\n")
    told = {"REGISTRY_NOTIFY_URL": "http://c/v2/hooks/registry/", "REGISTRY_NOTIFY_KEY_FILE": str(tmp_path / "key")}
    (endpoint,) = yaml.safe_load(server.render_config(load({**environment, **told})))["notifications"]["endpoints"]
    assert endpoint["url"] == "http://c/v2/hooks/registry/"
    assert endpoint["headers"] == {"X-Deis-Builder-Auth": ["builder-key"]}


def test_a_ca_bundle_for_the_s3_library_is_for_all_the_server_does():
    assert server_environment({"AWS_CA_BUNDLE": "/a", "X": "1"}) == {"SSL_CERT_FILE": "/a", "X": "1"}
    assert server_environment({"AWS_CA_BUNDLE": "/a", "SSL_CERT_FILE": "/b"}) == {"SSL_CERT_FILE": "/b"}
    assert server_environment({"X": "1"}) == {"X": "1"}
