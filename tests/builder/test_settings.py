import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from builder.host_config import HostConfig
from builder.pool import CPU_SHARES, container_spec
from builder.settings import Registry, Settings, SettingsError, load, parse_listen
from orchestrator.kubelet.runtime import Resources


def test_addresses_of_both_families_are_read():
    assert parse_listen("0.0.0.0:2222, [::]:2222") == (("0.0.0.0", 2222), ("::", 2222))


@pytest.mark.parametrize("text", ["", "2222", "host:port", "host:99999"])
def test_an_address_that_is_none_is_named(text):
    with pytest.raises(SettingsError):
        parse_listen(text)


def test_settings_come_from_the_environment_and_secrets_from_files(tmp_path):
    (tmp_path / "key").write_text("k\n")
    (tmp_path / "login").write_text(json.dumps({"username": "u", "password": "p"}))
    env = {
        "BUILDER_DATA": str(tmp_path), "BUILDER_KEY_FILE": str(tmp_path / "key"), "BUILD_MEMORY": "1024",
        "REGISTRY_CREDENTIALS_FILE": str(tmp_path / "login"), "STACK_IMAGE": "host:1/x/stack:9",
    }  # fmt: skip
    settings = load(env)
    assert settings.builder_key == "k" and settings.registry.password == "p" and settings.limits.memory == 1024
    assert settings.build_image == "host:1/x/stack-build:9" and settings.stack_repository == "host:1/x/stack"
    assert "k" not in repr(settings.registry) and "builder_key" not in repr(settings)


def test_a_missing_or_wrong_variable_names_itself(tmp_path):
    with pytest.raises(SettingsError, match="BUILDER_DATA"):
        load({})
    with pytest.raises(SettingsError, match="BUILD_CPUS"):
        load({"BUILDER_DATA": str(tmp_path), "BUILD_CPUS": "many"})


def test_a_build_takes_no_more_cpu_from_an_app_than_another_app_would():
    settings = Settings(Path("/data"), "http://127.0.0.1:1", "key", Registry("127.0.0.1:1"))
    space = SimpleNamespace(root="/w", app="/a")
    host = container_spec(settings, HostConfig(), space, "stack")["HostConfig"]
    assert host["CpuShares"] == CPU_SHARES == Resources().cpu_shares
