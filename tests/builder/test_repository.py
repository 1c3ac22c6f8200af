import os
import stat
import time

import pytest

from builder.errors import PushRefused
from builder.repository import YOUNG, Repositories, git_environment, write_hooks


def repositories(tmp_path):
    (tmp_path / "repos").mkdir()
    return Repositories(tmp_path / "repos", tmp_path / "hooks", "/usr/bin/git", 1000)


def keep(tmp_path, app):
    for name in ("cache", "layers"):
        (tmp_path / name / app).mkdir(parents=True)


def test_a_repository_is_made_once_and_kept(tmp_path):
    repos = repositories(tmp_path)
    path = repos.ensure_of("hello", "u1")
    (path / "refs/heads/master").write_text("x")
    assert (repos.ensure_of("hello", "u1") / "refs/heads/master").exists()
    assert (repos.ensure_of("hello", "") / "refs/heads/master").exists()


def test_an_app_made_again_under_its_name_starts_with_nothing(tmp_path):
    repos = repositories(tmp_path)
    (repos.ensure_of("hello", "u1") / "refs/heads/master").write_text("x")
    keep(tmp_path, "hello")
    assert not (repos.ensure_of("hello", "u2") / "refs/heads/master").exists()
    assert not (tmp_path / "cache/hello").exists() and not (tmp_path / "layers/hello").exists()


def test_what_belongs_to_no_app_goes_unless_it_is_young(tmp_path):
    repos = repositories(tmp_path)
    for app in ("kept", "gone"):
        repos.ensure(app)
        keep(tmp_path, app)
    assert repos.drop_others({"kept"}, time.time()) == []
    assert repos.drop_others({"kept"}, time.time() + YOUNG + 1) == ["gone"]
    assert repos.path("kept").exists() and not repos.path("gone").exists() and not (tmp_path / "cache/gone").exists()


def test_leftovers_of_an_interrupted_push_are_swept(tmp_path):
    repos = repositories(tmp_path)
    path = repos.ensure("hello")
    (path / "objects/tmp_objdir-incoming-x").mkdir()
    (path / "objects/pack/tmp_pack_x").write_text("")
    (path / "refs/heads/master.lock").write_text("")
    (path / "objects/pack/pack-1.pack").write_text("")
    assert repos.sweep() == 3 and (path / "objects/pack/pack-1.pack").exists()


def test_a_killed_push_leaves_no_quarantine_and_other_work_goes_on(tmp_path):
    repos = repositories(tmp_path)
    path = repos.ensure("hello")
    (path / "objects/tmp_objdir-incoming-x/pack").mkdir(parents=True)
    (path / "objects/pack/tmp_pack_of_gc").write_text("")
    repos.drop_quarantine("hello")
    assert not (path / "objects/tmp_objdir-incoming-x").exists() and (path / "objects/pack/tmp_pack_of_gc").exists()


def test_a_clone_checks_out_the_branch_that_was_deployed(tmp_path):
    repos = repositories(tmp_path)
    path = repos.ensure("hello")
    (path / "refs/heads/main").write_text("x")
    repos.point_head("hello", "refs/heads/main")
    assert (path / "HEAD").read_text() == "ref: refs/heads/main\n"
    (path / "refs/heads/master").write_text("x")
    repos.point_head("hello", "refs/heads/master")
    assert (path / "HEAD").read_text() == "ref: refs/heads/main\n"


def test_hooks_are_executable_and_git_sees_nothing_of_the_host(tmp_path):
    write_hooks(tmp_path)
    for name in ("pre-receive", "update"):
        assert os.stat(tmp_path / name).st_mode & stat.S_IXUSR
    environment = git_environment({"X": "1"})
    assert environment["GIT_CONFIG_NOSYSTEM"] == "1" and environment["X"] == "1" and "SSH_AUTH_SOCK" not in environment


def test_what_a_push_may_bring_is_what_the_repository_lacks_to_its_quota(tmp_path):
    (tmp_path / "repos").mkdir()
    repos = Repositories(tmp_path / "repos", tmp_path / "hooks", "/usr/bin/git", 2 << 20, 4 << 20)
    path = repos.ensure("hello")
    room = repos.room_left("hello")
    assert room.bytes == 2 << 20 and "2 MiB" in room.refusal and "BUILD_SOURCE_BYTES" in room.refusal
    (path / "big").write_bytes(b"x" * (3 << 20))
    room = repos.room_left("hello")
    assert 0 < room.bytes < 1 << 20
    assert all(words in room.refusal for words in ("3.0 MiB here", "4 MiB", "BUILD_REPOSITORY_BYTES", "paas git:reset"))
    (path / "more").write_bytes(b"x" * (1 << 20))
    with pytest.raises(PushRefused, match="reached its quota, 4 MiB .*BUILD_REPOSITORY_BYTES.*git:reset -a hello"):
        repos.room_left("hello")
