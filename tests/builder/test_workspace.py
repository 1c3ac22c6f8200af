"""The app's cache on its way into a build and back."""

import os
import shutil

import pytest

from builder import workspace
from builder.errors import BuildFailed


def space_with(parent, caches, mark):
    space = workspace.create(parent)
    workspace.take_cache(space, caches, "app", fresh=False)
    (space.cache / mark).touch()
    return space


def test_a_cache_comes_back_and_is_there_the_next_time(tmp_path):
    caches = tmp_path / "cache"
    workspace.give_back_cache(space_with(tmp_path / "work", caches, "one"), caches, "app")
    again = space_with(tmp_path / "work", caches, "two")
    assert {entry.name for entry in again.cache.iterdir()} == {"one", "two"} and not (caches / "app").exists()


def test_a_killed_builds_cache_that_comes_late_never_replaces_a_finished_ones(tmp_path):
    caches = tmp_path / "cache"
    killed = space_with(tmp_path / "work", caches, "killed")
    finished = space_with(tmp_path / "work", caches, "finished")
    workspace.give_back_cache(killed, caches, "app", finished=False)
    assert (caches / "app" / "killed").exists()
    workspace.give_back_cache(finished, caches, "app")
    assert (caches / "app" / "finished").exists() and not (caches / "app" / "killed").exists()
    late = workspace.create(tmp_path / "work")
    late.cache.mkdir()
    workspace.give_back_cache(late, caches, "app", finished=False)
    assert (caches / "app" / "finished").exists()


def test_a_link_in_place_of_a_cache_is_not_kept(tmp_path):
    caches, space = tmp_path / "cache", workspace.create(tmp_path / "work")
    os.symlink("/etc", space.cache)
    workspace.give_back_cache(space, caches, "app")
    assert not os.path.lexists(caches / "app")


@pytest.mark.parametrize("name", ["app", "cache", "out"])
def test_folders_that_a_build_made_links_are_refused(tmp_path, name):
    space = space_with(tmp_path / "work", tmp_path / "cache", "x")
    workspace.refuse_links(space)
    shutil.rmtree(space.root / name)
    os.symlink("/etc", space.root / name)
    with pytest.raises(BuildFailed, match=name):
        workspace.refuse_links(space)
