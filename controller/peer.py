"""Who is at the other end of a request's connection."""

from django.http import HttpRequest

LOOPBACK = ("127.0.0.1", "::1", "")


def client_address(request: HttpRequest) -> str:
    """The address the router saw; what others claim in the header doesn't count."""
    peer = request.META.get("REMOTE_ADDR", "")
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    return forwarded.rpartition(",")[2].strip() if peer in LOOPBACK and forwarded else peer
