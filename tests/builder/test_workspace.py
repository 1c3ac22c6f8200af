"""The app's cache on its way into a build and back."""

from builder import workspace


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
