"""The live log, as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from controller.access import READ, app_for
from controller.actions.logs import follow_logs, while_allowed
from controller.dashboard.edge import page
from controller.dashboard.pages import log_row
from controller.dashboard.views import LOG_LINES
from controller.errors import PaasError
from controller.models import User

STREAM_SECONDS = 600.0  # then the browser connects anew: a forgotten tab holds no thread for ever
RETRY_MS = 2000


@page
def logs_stream(request: HttpRequest, app: str) -> HttpResponse:
    found = app_for(request.user, app, READ)
    chunks = while_allowed(follow_logs(found, LOG_LINES, STREAM_SECONDS), lambda: may_read(request.user.pk, app))
    response = StreamingHttpResponse(events(chunks), content_type="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"  # a proxy must pass each line on as it comes
    return response


def may_read(pk: int, app: str) -> bool:
    """Whether that user still has the app before them."""
    user = User.objects.filter(pk=pk, is_active=True).first()
    try:
        return user is not None and bool(app_for(user, app, READ))
    except PaasError:
        return False


def events(chunks: Iterator[str]) -> Iterator[str]:
    """Each line as an event; an empty one as a comment that keeps the connection."""
    yield f"retry: {RETRY_MS}\n\n"
    try:
        for chunk in chunks:
            for line in chunk.split("\n"):
                if line.strip():
                    yield f"data: {json.dumps(log_row(line))}\n\n"
            if not chunk.strip():
                yield ": still here\n\n"
    except PaasError as exc:
        yield f"data: {json.dumps({**log_row(str(exc)), 'error': True})}\n\n"
