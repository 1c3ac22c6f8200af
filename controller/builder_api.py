"""The builder over HTTP: what a build said, and stopping one. Whose right that is was asked before."""

import http.client
import json
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

from django.conf import settings

from controller.errors import ClusterTrouble, Conflict, cause_of
from controller.models import App, BuildRun

TIMEOUT = 10.0  # seconds a call
GLANCE = 2.0  # seconds for what a page can do without
LARGEST = 16 << 20  # bytes of an output; the builder keeps less


class BuilderAway(ClusterTrouble):
    """The builder doesn't answer."""


@dataclass(frozen=True)
class BuildOutput:
    text: str
    left_out: int = 0  # bytes before `text`


def output_of_build(run: BuildRun, most: int | None = None) -> BuildOutput | None:
    """What the builder keeps of it, at most the last `most` bytes; None when it keeps nothing. Raises: BuilderAway."""
    query = {"tail": str(most)} if most else {}
    status, body, headers = _call("GET", run.app, f"{run.number}/output", query)
    if status == 404:
        return None
    if status != 200:
        raise BuilderAway(f"the builder answered {status}")
    left_out = headers.get("X-Left-Out", "0")
    return BuildOutput(body.decode("utf-8", "replace"), int(left_out) if left_out.isdigit() else 0)


def stop_build(run: BuildRun, by: str) -> None:
    """Raises: Conflict when it is too late, BuilderAway."""
    status, body, _ = _call("POST", run.app, f"{run.number}/cancel", {"by": by})
    if status == 404:
        raise Conflict(f"The builder isn't building {run.number} any more; look again in a moment")
    if status == 409:
        raise Conflict(body.decode("utf-8", "replace").strip())
    if status != 200:
        raise BuilderAway(f"the builder answered {status}")


def builds_in_line(app: App) -> dict[int, int]:
    """Of the app's builds that wait for a place at the builder, how many come before, by number.

    Raises: BuilderAway.
    """
    status, body, _ = _call("GET", app, "line", {}, timeout=GLANCE)
    try:
        told = json.loads(body) if status == 200 else None
        if not isinstance(told, dict):
            raise ValueError(f"status {status}")
        return {int(number): int(ahead) for number, ahead in told.items()}
    except (ValueError, TypeError) as exc:
        raise BuilderAway(f"the builder's answer can't be read ({exc})") from exc


def _call(
    method: str, app: App, what: str, query: dict[str, str], timeout: float = TIMEOUT
) -> tuple[int, bytes, http.client.HTTPMessage]:
    where = urlsplit(settings.BUILDER_URL)
    if not where.hostname:
        raise BuilderAway("this platform has no builder that could be asked (BUILDER_URL isn't set)")
    connection = http.client.HTTPConnection(where.hostname, where.port or 80, timeout=timeout)
    asked = urlencode({"app_uuid": str(app.pk), **query})
    try:
        connection.request(
            method,
            f"/runs/{quote(app.name)}/{what}?{asked}",
            headers={"X-Deis-Builder-Auth": settings.BUILDER_KEY},
        )
        answer = connection.getresponse()
        return answer.status, answer.read(LARGEST), answer.headers
    except (OSError, http.client.HTTPException) as exc:
        raise BuilderAway(f"the builder doesn't answer ({cause_of(exc)}); is the program `builder` running?") from exc
    finally:
        connection.close()
