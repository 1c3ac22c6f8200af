import os

from builder import host_config


def test_pip_settings_merge_and_the_environment_wins(tmp_path):
    (tmp_path / "a").write_text("[global]\nindex-url = https://one.test/simple\ncert = /x\n")
    (tmp_path / "b").write_text("[install]\nfind-links = /wheels\n")
    found = host_config.read_pip(
        [tmp_path / "a", tmp_path / "none", tmp_path / "b"], {"PIP_INDEX_URL": "https://two.test/simple"}
    )
    assert found == {"index-url": "https://two.test/simple", "find-links": "/wheels"}


def test_local_folders_that_are_not_there_are_left_out_and_the_others_mounted(tmp_path):
    (tmp_path / "index" / "simple").mkdir(parents=True)
    values = {"extra-index-url": f"file://{tmp_path}/index/simple file:///nowhere/simple https://x.test/simple"}
    kept, folders = host_config.split_local(values)
    assert "nowhere" not in kept["extra-index-url"] and "https://x.test/simple" in kept["extra-index-url"]
    assert host_config.mount_roots(folders) == [str(tmp_path / "index")]


def test_only_what_says_where_packages_come_from_is_taken_from_npmrc(tmp_path):
    (tmp_path / "rc").write_text(
        "registry=https://r.test/\n//r.test/:_authToken=t\n@me:registry=https://m.test\nprefix=/x\n"
    )
    assert host_config.read_npm([tmp_path / "rc"]) == [
        "registry=https://r.test/",
        "//r.test/:_authToken=t",
        "@me:registry=https://m.test",
    ]


def test_proxies_are_given_in_both_spellings():
    assert host_config.proxies({"HTTPS_PROXY": "http://p:1"}) == {
        "https_proxy": "http://p:1",
        "HTTPS_PROXY": "http://p:1",
    }


def test_the_settings_can_be_read_by_builds_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        host_config.write(host_config.HostConfig(files={"npmrc": "registry=https://r.test/\n"}), tmp_path / "host")
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("host", "host/npmrc")]
    assert modes == [0o755, 0o644]
