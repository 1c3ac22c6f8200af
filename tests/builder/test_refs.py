import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import PushRefused
from builder.refs import RefUpdate, parse_repository, parse_update, plan_push

OLD, NEW, OTHER, ZERO = "a" * 40, "b" * 40, "c" * 40, "0" * 40


def update(ref, new=NEW, old=OLD):
    return RefUpdate(old, new, ref)


def test_a_push_of_master_builds_its_new_commit():
    assert plan_push([update("refs/heads/master")]).build.new == NEW


def test_main_counts_like_master():
    assert plan_push([update("refs/heads/main")]).build.ref == "refs/heads/main"


def test_master_and_main_at_one_commit_build_once():
    assert plan_push([update("refs/heads/master"), update("refs/heads/main")]).build.new == NEW


def test_master_and_main_at_different_commits_are_refused():
    with pytest.raises(PushRefused, match="git push deis master"):
        plan_push([update("refs/heads/master"), update("refs/heads/main", OTHER)])


def test_another_branch_is_refused_with_the_line_to_type():
    with pytest.raises(PushRefused, match="git push deis feature/x:master"):
        plan_push([update("refs/heads/feature/x")])


def test_another_branch_beside_master_does_not_stop_the_build():
    assert plan_push([update("refs/heads/side", OTHER), update("refs/heads/master")]).build.new == NEW


def test_deleting_what_runs_is_refused():
    with pytest.raises(PushRefused, match="can't be deleted"):
        plan_push([update("refs/heads/master", ZERO)])


def test_tags_alone_build_nothing_and_say_so():
    plan = plan_push([update("refs/tags/v1")])
    assert plan.build is None and "Tags are kept" in plan.notes[0]


def test_deleting_a_tag_is_quiet():
    assert plan_push([update("refs/tags/v1", ZERO)]) == plan_push([])


@pytest.mark.parametrize("line", ["", "x y z", f"{OLD} {NEW}", f"{OLD} ; rm", f"{OLD[:39]} {NEW} refs/heads/master"])
def test_a_line_that_is_no_update_is_refused(line):
    with pytest.raises(PushRefused):
        parse_update(line)


@pytest.mark.parametrize("path", ["/hello.git", "hello.git", "hello", "/hello", "hello.git/"])
def test_every_spelling_of_an_app_is_understood(path):
    assert parse_repository(path) == "hello"


@given(st.text())
def test_whatever_is_asked_for_stays_inside_the_repositories_folder(path):
    try:
        name = parse_repository(path)
    except PushRefused:
        return
    assert "/" not in name and not name.startswith(".") and name.isascii() and 0 < len(name) <= 63
