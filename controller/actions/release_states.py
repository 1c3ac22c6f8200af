"""What became of each release, in a word."""

from collections.abc import Iterable
from uuid import UUID

from controller.models import App, Operation, Release, Watch

EMPTY, PENDING, DEPLOYING, WATCHED, LIVE, FAILED, PAST = (
    "empty",  # without a build: nothing runs
    "pending",  # its deploy waits for a worker
    "deploying",
    "watched",  # live, and taken back if it fails
    "live",
    "failed",  # before it was live, or after: the reason says which
    "past",
)


def states_of(app: App, releases: Iterable[Release]) -> dict[int, str]:
    """The state of each of `releases`, all of `app`, by version; a fixed number of queries."""
    operation = app.operations.filter(state__in=Operation.UNFINISHED, kind=Operation.DEPLOY).first()
    busy = operation.release_id if operation else None
    serving, watched = serving_release(app, busy)
    states = {}
    for release in releases:
        if release.failed:
            states[release.version] = FAILED
        elif release.pk == busy:
            states[release.version] = PENDING if operation.state == Operation.QUEUED else DEPLOYING
        elif release.build_id is None:
            states[release.version] = EMPTY
        elif release.pk == serving:
            states[release.version] = WATCHED if watched else LIVE
        else:
            states[release.version] = PAST
    return states


def serving_release(app: App, busy: UUID | None) -> tuple[UUID | None, bool]:
    """Which release runs, while that of the key `busy` is still on its way, and whether it is being watched."""
    good = app.releases.filter(failed=False, build__isnull=False).exclude(pk=busy)
    pk, state = good.order_by("-version").values_list("pk", "watch__state").first() or (None, None)
    return pk, state == Watch.WATCHING
