"""Errors become answers here and nowhere else."""

import logging

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import OperationalError
from django.http import Http404, HttpResponse, JsonResponse
from django.views.defaults import page_not_found
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from controller.errors import PaasError, Throttled

log = logging.getLogger(__name__)


def answer(exc: Exception, context: dict) -> Response:
    if isinstance(exc, PaasError):
        response = Response(exc.body(), status=exc.status)
        response.exception = True
        if isinstance(exc, Throttled):
            response["Retry-After"] = str(exc.retry_after)
        return response
    if isinstance(exc, RequestDataTooBig):
        return Response({"detail": "The request's body is too large."}, status=413)
    if isinstance(exc, OperationalError):
        log.exception("database trouble")
        return Response({"detail": "The database is busy or away; try again shortly."}, status=503)
    if isinstance(exc, exceptions.APIException | Http404 | PermissionDenied):
        return exception_handler(exc, context)
    log.exception("unexpected error", extra={"path": context["request"].path})
    return Response({"detail": "Server Error"}, status=500)


def not_found(request, exception) -> HttpResponse:
    """The dashboard's page; below `/v2/` one line, since the Deis client prints the whole of it."""
    if request.path_info.lstrip("/").startswith("v2/"):
        return HttpResponse("<h1>Not Found</h1><p>There is no such address in this API.</p>\n", status=404)
    return page_not_found(request, exception)


def server_error(request) -> JsonResponse:
    return JsonResponse({"detail": "Server Error"}, status=500)
