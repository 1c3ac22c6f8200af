"""A request's connection, taken out of the web server's hands to go on as something else than HTTP."""

import re
import select
import socket

from django.http import HttpResponse

from controller.errors import BadRequest, Unsupported

TAKEN = "paas.connection_taken"  # in the WSGI environment: no answer is to be written any more
OFFERS = ("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol")
PLAIN = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,299}")


def offered_websocket(request) -> dict[str, str]:
    """The client's part of the WebSocket handshake. Raises: BadRequest, Unsupported."""
    headers = request.headers
    if headers.get("Upgrade", "").lower() != "websocket" or "Sec-WebSocket-Key" not in headers:
        raise BadRequest("This route speaks WebSocket; `paas ps:exec`, `paas run` and `paas port-forward` use it")
    offered = {name: headers[name] for name in OFFERS if name in headers}
    for name, value in offered.items():
        if not PLAIN.fullmatch(value):
            raise BadRequest(f"{name} is not one a WebSocket client sends")
    if connection_of(request) is None:
        raise Unsupported("This server does not show its sockets, and so can't hand a connection over")
    return offered


def connection_of(request) -> socket.socket | None:
    """The client's socket where the server shows it (gunicorn does), to look at."""
    return request.META.get("gunicorn.socket")


def has_hung_up(request) -> bool:
    """Whether the client closed its connection while it waits for its answer."""
    connection = connection_of(request)
    if connection is None:
        return False
    try:
        readable, _, _ = select.select([connection], [], [], 0)
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True


def take_over(request) -> tuple[socket.socket, HttpResponse]:
    """The client's socket, now the caller's alone, and what the view returns in place of an answer."""
    connection = connection_of(request)
    mine = socket.socket(fileno=connection.detach())  # the server's own object is closed from here on
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    request.META[TAKEN] = True
    return mine, HttpResponse(status=200)
