"""Who the log store is to clusters that aren't ours: kubeconfigs as others write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from logger.access import Access, load_access
from logger.errors import BadSetting


def kubeconfig(folder: Path, server: str, user: dict[str, object]) -> str:
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    document = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [context],
        "current-context": "x",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(document))
    return str(path)


def test_a_server_behind_a_path_is_asked_below_it(tmp_path):
    access = load_access(kubeconfig(tmp_path, "http://api.test/k8s/clusters/c-1/", {"token": "abc"}))
    assert access == Access("api.test", 80, None, "abc", "", "/k8s/clusters/c-1")


def test_files_are_named_as_seen_from_the_kubeconfig(tmp_path):
    (tmp_path / "token").write_text("renewed\n")
    access = load_access(kubeconfig(tmp_path, "http://api.test:8080", {"tokenFile": "token"}))
    assert access.headers() == [("Authorization", "Bearer renewed")]


def test_a_program_that_signs_in_is_refused_in_words(tmp_path):
    with pytest.raises(BadSetting, match="give it a token"):
        load_access(kubeconfig(tmp_path, "http://api.test", {"exec": {"command": "aws"}}))
