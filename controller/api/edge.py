"""Errors become answers here and nowhere else."""

import logging

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import OperationalError
from django.http import Http404, JsonResponse
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


def server_error(request) -> JsonResponse:
    return JsonResponse({"detail": "Server Error"}, status=500)
