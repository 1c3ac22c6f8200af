"""The log store, as this program asks it (`LOGGER_SOCKET`). Nobody here waits for it to be there."""

import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote, urlencode

from django.conf import settings

from controller.errors import BadRequest, ClusterTrouble, cause_of
from controller.neighbours import Connection, key_headers, send_datagram

ANSWER_TIMEOUT = 20.0  # seconds; a search gives up earlier by itself
SILENCE = 40.0  # seconds of a followed log; the store says at least every 15 that it stands


class StoreAway(ClusterTrouble):
    """The log store doesn't answer."""


def is_configured() -> bool:
    return bool(settings.LOGGER_SOCKET)


def place() -> str:
    return settings.LOGGER_SOCKET


def target_of(app: str, query: Mapping[str, str]) -> str:
    return f"/apps/{quote(app)}?{urlencode({key: value for key, value in query.items() if value})}"


def read(app: str, query: Mapping[str, str]) -> str:
    """The matching lines as text. Raises: StoreAway, BadRequest."""
    connection, response = _open(target_of(app, query), ANSWER_TIMEOUT)
    with contextlib.closing(connection):
        try:
            return response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as exc:
            raise StoreAway(_away(exc)) from exc


def follow(app: str, query: Mapping[str, str]) -> Iterator[str]:
    """The matching lines, then new ones as they come: whole lines, one or many at a time.

    Raises: StoreAway, BadRequest.
    """
    connection, response = _open(target_of(app, {**query, "follow": "1"}), SILENCE)
    with contextlib.closing(connection):
        try:
            rest = b""
            while piece := response.read1(65536):
                whole, newline, rest = (rest + piece).rpartition(b"\n")
                if newline:
                    yield f"{whole.decode('utf-8', 'replace')}\n"
        except (OSError, http.client.HTTPException) as exc:
            raise StoreAway(_away(exc)) from exc


def status() -> dict:
    """Of the store and its drains. Raises: StoreAway."""
    connection, response = _open("/status", ANSWER_TIMEOUT)
    with contextlib.closing(connection):
        return json.loads(response.read())


def nudge() -> None:
    """Tells the store that there is news; it would find out by itself within seconds."""
    if not settings.LOGGER_SOCKET:
        return
    with contextlib.suppress(OSError):
        send_datagram(settings.LOGGER_SOCKET, {"nudge": True})


def _open(target: str, timeout: float):
    connection = Connection(settings.LOGGER_SOCKET, timeout)
    try:
        connection.request("GET", target, headers=key_headers(settings.LOGGER_SOCKET))
        response = connection.getresponse()
        if response.status == 400:
            raise BadRequest(response.read().decode().strip())
        if response.status != 200:
            raise StoreAway(f"the log store answered {response.status}")
        return connection, response
    except (OSError, http.client.HTTPException) as exc:
        connection.close()
        raise StoreAway(_away(exc)) from exc
    except BaseException:
        connection.close()
        raise


def _away(exc: Exception) -> str:
    return f"the log store doesn't answer ({cause_of(exc)}); is the program `logger` running?"
