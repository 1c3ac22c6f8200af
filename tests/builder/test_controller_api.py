"""Against the controller double: what the builder makes of answers of every shape."""

import pytest

from builder.controller_api import Controller, reason
from builder.errors import ControllerError, DeployFailed

BUILD = {"sha": "a" * 8, "receive_user": "u", "receive_repo": "hello", "image": "x", "procfile": {}, "dockerfile": ""}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"detail": "no node fits"}', "no node fits"),
        ('{"image": ["too long", "blank"], "sha": "wrong"}', "image: too long blank; sha: wrong"),
        ('["bare"]', "bare"),
        ('"No App matches the given query."', "No App matches the given query."),
        ("<html>", "status 500"),
    ],
)
def test_an_error_of_any_shape_becomes_one_text(text, words):
    assert words in reason(text, 500)


async def test_a_known_key_tells_its_user_and_an_unknown_one_nobody(controller):
    controller.users["aa:bb"] = "alice"
    async with Controller(controller.url, controller.key) as api:
        assert (await api.identify("aa:bb")).username == "alice"
        assert await api.identify("cc:dd") is None


async def test_a_wrong_builder_key_is_an_error_not_a_stranger(controller):
    async with Controller(controller.url, "wrong") as api:
        with pytest.raises(ControllerError, match="credentials"):
            await api.identify("aa:bb")


async def test_progress_is_told_before_the_release(controller):
    controller.stream = [{"message": "web: 1 of 1 ready"}]
    told = []
    async with Controller(controller.url, controller.key) as api:
        release = await api.release(BUILD, told.append)
    assert told == [{"message": "web: 1 of 1 ready"}] and release.version == len(controller.builds) + 1


async def test_a_failure_in_the_stream_is_the_deploys_failure(controller):
    controller.stream = [{"detail": "web crashed with exit code 1", "status": 400}]
    async with Controller(controller.url, controller.key) as api:
        with pytest.raises(DeployFailed, match="web crashed with exit code 1"):
            await api.release(BUILD, lambda item: None)


async def test_a_controller_that_is_gone_is_told_after_a_short_wait(monkeypatch):
    monkeypatch.setattr("builder.controller_api.RETRY_FOR", 0.3)
    async with Controller("http://127.0.0.1:9", "k") as api:
        with pytest.raises(ControllerError, match="doesn't answer"):
            await api.config("hello", "u")
        with pytest.raises(DeployFailed, match="went away"):
            await api.release(BUILD, lambda item: None)
