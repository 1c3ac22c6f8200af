"""A nudge between processes over Redis, so that whoever waits for a row looks again at once.

Only a hint: every waiter also looks by itself now and then, so a lost nudge, or a Redis that is away, costs
a moment and nothing else.
"""

import contextlib
import time
from functools import cache

import redis
from django.conf import settings

BLIND_PAUSE = 0.25  # seconds between looks while Redis is away


@cache
def connection() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=5)


def wake(topic: str) -> None:
    """Nudges those who wait on `topic`."""
    with contextlib.suppress(redis.RedisError, OSError):
        connection().publish(topic, "1")


class Waiter:
    """`with Waiter("operation:7") as waiter: waiter.wait(1.0)` returns at a nudge or after a second."""

    def __init__(self, topic: str):
        self._topic = topic
        self._subscription = None

    def __enter__(self) -> "Waiter":
        self._subscribe()
        return self

    def __exit__(self, *exc) -> None:
        self._drop()

    def wait(self, seconds: float) -> None:
        if self._subscription is None:
            time.sleep(min(seconds, BLIND_PAUSE))
            self._subscribe()
            return
        try:
            self._subscription.get_message(ignore_subscribe_messages=True, timeout=seconds)
        except (redis.RedisError, OSError, ValueError):
            self._drop()

    def _subscribe(self) -> None:
        try:
            self._subscription = connection().pubsub()
            self._subscription.subscribe(self._topic)
            self._subscription.get_message(timeout=1.0)  # the confirmation
        except (redis.RedisError, OSError):
            self._drop()

    def _drop(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with contextlib.suppress(redis.RedisError, OSError):
                subscription.close()
