"""The SSH server's own touches on a connection."""

import socket
from types import SimpleNamespace

from builder.ssh import acknowledge_at_once


def test_what_the_client_sends_is_acknowledged_before_it_is_looked_at():
    seen = []
    link = SimpleNamespace(setsockopt=lambda *option: seen.append(option))
    connection = SimpleNamespace(get_extra_info={"socket": link}.get, data_received=lambda *data: seen.append(data))
    acknowledge_at_once(connection)
    for data in (b"one", b"two"):
        connection.data_received(data)
    wish = (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    assert seen == [wish, (b"one", None), wish, (b"two", None)]
