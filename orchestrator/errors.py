"""The errors of the Kubernetes API, raised deep and answered in one place.

Each carries what a `Status` object needs, so the same exception is raised by a handler in the server and by a client
that reads a `Status` off the wire.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class OrchestratorError(Exception):
    """Root of every error this package raises on purpose."""


class ApiError(OrchestratorError):
    """A request the API refused; `status()` is the Kubernetes `Status` object that says so."""

    code = 500
    reason = "InternalError"
    continue_token = ""
    """With an expired list: where an inconsistent rest of it could go on."""

    def __init__(
        self,
        message: str,
        *,
        kind: str = "",
        group: str = "",
        name: str = "",
        uid: str = "",
        causes: Sequence[Mapping[str, str]] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind, self.group, self.name, self.uid = kind, group, name, uid
        self.causes = [dict(cause) for cause in causes]
        self.retry_after = retry_after

    def status(self) -> dict[str, Any]:
        details: dict[str, Any] = {}
        for field in ("name", "group", "kind", "uid"):
            if value := getattr(self, field):
                details[field] = value
        if self.causes:
            details["causes"] = self.causes
        if self.retry_after is not None:
            details["retryAfterSeconds"] = self.retry_after
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_token} if self.continue_token else {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if not self.reason:  # a refusal that a webhook worded
            del status["reason"]
        if details or self.code == 404:  # kubectl looks into the details of every 404
            status["details"] = details
        return status


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"


class NotFound(ApiError):
    code, reason = 404, "NotFound"


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"


class Conflict(ApiError):
    code, reason = 409, "Conflict"


class Gone(ApiError):
    code, reason = 410, "Gone"


class Expired(ApiError):
    """The asked-for resourceVersion has been compacted; list again."""

    code, reason = 410, "Expired"


class RequestEntityTooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    """The object does not validate; `causes` names every bad field by its path."""

    code, reason = 422, "Invalid"


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"


class ServiceUnavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(ApiError):
    code, reason = 504, "Timeout"


_BY_REASON = {cls.reason: cls for cls in ApiError.__subclasses__()}
_CODED: tuple[type[ApiError], ...] = (*ApiError.__subclasses__()[::-1], Conflict, Expired)
_BY_CODE = {cls.code: cls for cls in _CODED}


def error_from_status(status: Mapping[str, Any]) -> ApiError:
    """The exception that a `Status` object read off the wire stands for."""
    cls = _BY_REASON.get(status.get("reason", "")) or _BY_CODE.get(status.get("code", 500), ApiError)
    details = status.get("details") or {}
    error = cls(
        status.get("message") or "the API server gave no message",
        kind=details.get("kind", ""),
        group=details.get("group", ""),
        name=details.get("name", ""),
        uid=details.get("uid", ""),
        causes=details.get("causes") or (),
        retry_after=details.get("retryAfterSeconds"),
    )
    if cls is ApiError:
        error.code = int(status.get("code") or 500)
        error.reason = status.get("reason") or "InternalError"
    return error
