"""Which images stay: the last ones of each app, what runs, and what is on its way."""

from datetime import timedelta

import pytest
from django.utils import timezone

from controller.actions import collection
from controller.models import App, Build, Release

HOST = "127.0.0.1:5000"


def digest(letter):
    return f"sha256:{letter * 64}"


@pytest.fixture
def history(blue):
    """blue with releases v2.. of one image each, an old story; gives their digests' letters."""

    def make(letters, failed=""):
        app = App.objects.get(name="blue")
        first = app.current_release()
        for number, letter in enumerate(letters, 2):
            build = Build.objects.create(app=app, owner=app.owner, image=f"{HOST}/blue@{digest(letter)}", sha="abc")
            Release.objects.create(
                app=app, owner=app.owner, version=number, build=build, config=first.config, failed=letter in failed
            )
        Build.objects.update(created=timezone.now() - timedelta(days=2))

    return make


def kept():
    return {image[7] for image in collection.kept_images()["blue"]}


def test_the_last_images_stay_and_older_ones_go(history, settings):
    settings.KEEP_IMAGES = 3
    history("abcdef")
    assert kept() == set("def")


def test_a_failed_release_takes_no_place_unless_it_is_the_newest(history, settings):
    settings.KEEP_IMAGES = 2
    history("abcdef", failed="df")
    assert kept() == {"f", "e"}
    assert "d" not in kept()


def test_images_that_run_or_were_built_just_now_stay(history, settings, cluster):
    settings.KEEP_IMAGES = 1
    history("abc")
    cluster.create(
        {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "old", "namespace": "blue", "labels": {"heritage": "deis", "app": "blue"}},
            "spec": {"containers": [{"name": "web", "image": f"{HOST}/blue@{digest('a')}"}]},
        }
    )  # fmt: skip
    app = App.objects.get(name="blue")
    Build.objects.create(app=app, owner=app.owner, image=f"{HOST}/blue@{digest('9')}", sha="abc")
    assert kept() == {"a", "c", "9"}


def test_images_of_other_registries_are_not_ours_to_keep(history):
    history("a")
    Build.objects.update(image="registry.example.com/blue:1")
    assert collection.kept_images()["blue"] == []


def test_nobody_rolls_back_to_an_image_that_is_gone(history, blue):
    history("ab")
    collection.mark_collected({("blue", digest("a"))})
    answer = blue.post("/v2/apps/blue/releases/rollback/", {"version": 2})
    assert answer.status_code == 400 and "no longer kept" in answer.json()["detail"]
    assert Build.objects.filter(collected__isnull=True).count() == 1


def test_without_a_registry_of_ours_there_is_nothing_to_collect(history):
    history("a")
    assert collection.collect(dry_run=False) == collection.Collected([], None)


def test_a_registry_that_does_not_answer_is_told_in_words(history, settings, tmp_path):
    history("a")
    settings.REGISTRY_ADMIN_SOCKET = str(tmp_path / "none")
    with pytest.raises(collection.CollectionFailed, match="The registry doesn't answer"):
        collection.collect(dry_run=True)
