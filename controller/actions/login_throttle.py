"""Wrong passwords and codes, counted in Redis; without Redis nobody is locked out."""

import logging

import redis
from django.conf import settings

from controller.errors import Throttled
from controller.wakeups import connection

log = logging.getLogger(__name__)


class Failures:
    """Those for one name from one address, for the name from anywhere, and from the address for any name.

    The first keeps a guesser out without locking out whom it tries to be; the others stop guessers with many
    addresses or many names.
    """

    def __init__(self, username: str, address: str):
        self._limits = {
            f"login-failures:{address}:{username}": settings.LOGIN_FAILURES,
            f"login-failures:name:{username}": settings.LOGIN_FAILURES_OF_A_NAME,
            f"login-failures:address:{address}": settings.LOGIN_FAILURES_FROM_AN_ADDRESS,
        }

    def refuse_if_many(self) -> None:
        """Raises: Throttled, with the seconds to wait."""
        try:
            counts = connection().mget(list(self._limits))
            full = [
                key
                for (key, limit), count in zip(self._limits.items(), counts, strict=True)
                if int(count or 0) >= limit
            ]
            waits = [connection().ttl(key) for key in full]
        except (redis.RedisError, OSError):
            return
        if full:
            raise Throttled("Too many failed logins", max(1, *waits))

    def count(self) -> None:
        try:
            pipe = connection().pipeline()
            for key in self._limits:
                pipe.incr(key)
                pipe.expire(key, settings.LOGIN_WINDOW)
            pipe.execute()
        except (redis.RedisError, OSError) as exc:
            log.warning("failed login not counted", extra={"error": str(exc)})

    def forget(self) -> None:
        """A good login clears the name's own count here; those of others stay."""
        try:
            connection().delete(next(iter(self._limits)))
        except (redis.RedisError, OSError) as exc:
            log.warning("failed logins not forgotten", extra={"error": str(exc)})
