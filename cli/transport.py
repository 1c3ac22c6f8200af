"""Opening the connection: names under .localhost are this machine, proxies are the environment's."""

from __future__ import annotations

import http.client
import socket
import ssl
from base64 import b64encode
from urllib.parse import SplitResult, unquote, urlsplit


class _Http(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = connect_socket(self.host, self.port, self.timeout)


class _Https(_Http):
    def __init__(self, host: str, port: int, timeout: float, tls: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=timeout)
        self.tls = tls

    def connect(self) -> None:
        super().connect()
        self.sock = self.tls.wrap_socket(self.sock, server_hostname=self.host)


def connect_socket(host: str, port: int, timeout: float | None) -> socket.socket:
    """A connection to host:port. `.localhost` never asks a resolver: not every system has an answer."""
    if host != "localhost" and not host.endswith(".localhost"):
        return socket.create_connection((host, port), timeout)
    try:
        return socket.create_connection(("127.0.0.1", port), timeout)
    except ConnectionRefusedError as refused:
        try:
            return socket.create_connection(("::1", port), timeout)
        except OSError:
            raise refused from None


def open_connection(
    url: SplitResult, proxy: str | None, ssl_verify: bool, timeout: float
) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """A connected connection for `url`, and the prefix and headers its requests need: a proxy wants whole addresses."""
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    context = ssl.create_default_context() if url.scheme == "https" else None
    if context is not None and not ssl_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    connection: http.client.HTTPConnection
    prefix, headers = "", {}
    if proxy is None:
        connection = _Https(host, port, timeout, context) if context else _Http(host, port, timeout=timeout)
    else:
        through = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        address = (through.hostname or "", through.port or 80)
        if context:
            connection = http.client.HTTPSConnection(*address, timeout=timeout, context=context)
            connection.set_tunnel(host, port, headers=_proxy_login(through))
        else:
            connection = http.client.HTTPConnection(*address, timeout=timeout)
            prefix, headers = f"http://{url.netloc}", _proxy_login(through)
    connection.connect()
    return connection, prefix, headers


def _proxy_login(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"}
