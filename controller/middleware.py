"""What every request meets: counting, version headers, CORS, and a cap on its body."""

import json
import logging
import time

from django.conf import settings
from django.http import HttpResponse

from controller import metrics

API_VERSION = "2.3"
PLATFORM_VERSION = "2.3.0"
DRAIN_STEP = 256 * 1024  # bytes
DRAIN_MOST = 64 * 1024 * 1024  # bytes of a refused body that are still read before the connection is given up
OPEN_PATHS = ("/v2", "/healthz", "/readiness")

log = logging.getLogger("controller.access")


class Observed:
    """Counts and logs each request."""

    def __init__(self, get_response):
        self._get_response = get_response

    def __call__(self, request):
        began = time.monotonic()
        response = self._get_response(request)
        seconds = time.monotonic() - began
        route = getattr(getattr(request, "resolver_match", None), "route", None) or "none"
        metrics.count_request(request.method, route, response.status_code, seconds)
        if not request.path.startswith(("/healthz", "/readiness", "/metrics")):
            fields = {"method": request.method, "path": request.path, "status": response.status_code}
            log.info("request", extra={**fields, "milliseconds": round(seconds * 1000)})
        return response


class Versioned:
    """The headers Deis clients check, on every answer, and CORS for browsers."""

    def __init__(self, get_response):
        self._get_response = get_response

    def __call__(self, request):
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response = HttpResponse(status=200)
            response["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
            response["Access-Control-Allow-Headers"] = "authorization, content-type, accept, user-agent"
        else:
            response = self._get_response(request)
        response["DEIS_API_VERSION"] = API_VERSION
        response["DEIS_PLATFORM_VERSION"] = PLATFORM_VERSION
        if request.path.startswith(OPEN_PATHS):
            response["Access-Control-Allow-Origin"] = "*"
            response["Access-Control-Expose-Headers"] = "DEIS_API_VERSION, DEIS_PLATFORM_VERSION"
        return response


class BodyCap:
    """Refuses a body that is too large before anyone parses it.

    Whatever a refusal left unread is read and dropped: a connection closed with bytes still in it is reset, and the
    router would then say 502 in place of the refusal.
    """

    def __init__(self, get_response):
        self._get_response = get_response

    def __call__(self, request):
        length = request.META.get("CONTENT_LENGTH") or "0"
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        if not length.isdigit() or int(length) > limit:
            text = f"The request's body may have at most {limit} bytes."
            response = HttpResponse(json.dumps({"detail": text}), status=413, content_type="application/json")
        else:
            response = self._get_response(request)
        drop_unread_body(request)
        return response


def drop_unread_body(request) -> None:
    try:
        for _ in range(DRAIN_MOST // DRAIN_STEP):
            if not request.read(DRAIN_STEP):
                return
    except OSError as exc:
        log.info("the rest of a request's body could not be read: %s", exc)
