"""Several routers, each with a page of its own, are one sum."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from controller import router_metrics

PAGE = b"""router_requests_total{app="blue",class="2xx"} 5
router_requests_total{app="blue",class="5xx"} 1
router_requests_total{app="",class="2xx"} 100
router_request_seconds_bucket{app="blue",le="0.1"} 4
router_request_seconds_sum{app="blue"} 1.5
"""


class Router(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *args):
        """Nothing on stderr."""


def test_the_counts_of_all_routers_of_a_name_are_added_up(settings, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Router) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        settings.ROUTER_METRICS_URL = f"http://routers:{server.server_port}/metrics"
        found = [(2, 1, 6, "", (address, server.server_port)) for address in ("127.0.0.1", "127.0.0.1")]
        monkeypatch.setattr(router_metrics.socket, "getaddrinfo", lambda *_, **__: found)
        alone = router_metrics.read_traffic()["blue"]
        assert (alone.classes, alone.seconds) == ({"2xx": 5, "5xx": 1}, 1.5), "an address counts once"
        monkeypatch.setattr(router_metrics, "each_router", lambda url: [f"http://127.0.0.1:{server.server_port}/"] * 2)
        both = router_metrics.read_traffic()
        server.shutdown()
    assert both.keys() == {"blue"} and both["blue"].classes == {"2xx": 10, "5xx": 2}
    assert both["blue"].buckets == {0.1: 8} and both["blue"].seconds == 3.0


def test_every_address_of_the_name_is_a_router(monkeypatch):
    found = [
        (family, 1, 6, "", (address, 1)) for family, address in ((10, "fd00::1"), (2, "10.0.0.2"), (2, "10.0.0.1"))
    ]
    monkeypatch.setattr(router_metrics.socket, "getaddrinfo", lambda *_, **__: found)
    assert router_metrics.each_router("http://routers:9100/metrics") == [
        "http://10.0.0.1:9100/metrics",
        "http://10.0.0.2:9100/metrics",
    ]
    monkeypatch.setattr(router_metrics.socket, "getaddrinfo", lambda *_, **__: found[:1])
    assert router_metrics.each_router("http://routers:9100/metrics") == ["http://[fd00::1]:9100/metrics"]
