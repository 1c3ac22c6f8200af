"""Requests that begin an operation wait for its end, unless they say `?wait=false`."""

from rest_framework.request import Request

from controller.actions import operations
from controller.models import Operation

NO = ("false", "0", "no")


def await_end(request: Request, operation: Operation | None) -> None:
    """Returns once `operation` has succeeded, or at once when there is none or nobody waits.

    Raises: OperationFailed, ClusterTrouble.
    """
    if operation is not None and is_waiting(request):
        operations.wait(operation)


def is_waiting(request: Request) -> bool:
    return request.query_params.get("wait", "").lower() not in NO
