"""What clients and apps see, through a real nginx."""

import base64
import contextlib
import datetime
import http.client
import json
import socket
import ssl
import struct
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.router.harness import wait_for


def test_an_app_answers_under_its_name_with_the_host_preserved(router, backends, objects):
    router.serve([objects.service()], objects.pods(backends()))
    headers = router.ask(headers={"X-Forwarded-For": "6.6.6.6", "X-Request-Id": "mine", "Proxy": "evil"})["headers"]
    assert headers["Host"] == "hello.paas.localhost"
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "http"
    assert len(headers["X-Request-Id"]) == 32
    assert "Proxy" not in headers


def test_an_unknown_host_is_404_as_page_json_or_line(router):
    router.serve()
    status, headers, body = router.request("nobody", headers={"Accept": "text/html"})
    assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"Nothing here" in body and b"{{" not in body
    assert "detail" in json.loads(router.request("nobody", headers={"Accept": "application/json"})[2])
    assert router.request("nobody")[2].endswith(b".\n")


def test_a_wildcard_serves_names_below_it_and_an_exact_name_wins(router, backends, objects):
    one, two = backends("one"), backends("two")
    router.serve(
        [objects.service(domains="*.wild.test"), objects.service("other", domains="a.wild.test")],
        [*objects.pods(one), *objects.pods(two, namespace="other")],
    )
    assert router.ask("b.wild.test")["by"] == "one"
    assert router.ask("c.b.wild.test")["by"] == "one"
    assert router.ask("a.wild.test")["by"] == "two"
    assert router.request("wild.test")[0] == 404


def test_an_app_without_endpoints_is_503_and_answers_at_once_when_it_has_one(router, backends, objects):
    router.serve([objects.service()])
    assert router.request()[0] == 503
    router.serve([objects.service()], objects.pods(backends()))
    assert router.ask()["by"] == "one"


def test_maintenance_is_a_503_page(router, backends, objects):
    router.serve([objects.service(maintenance="true")], objects.pods(backends()))
    status, headers, body = router.request(headers={"Accept": "text/html"})
    assert status == 503 and headers["Retry-After"] == "60" and b"Back soon" in body


def test_others_than_the_whitelist_get_403(router, backends, objects):
    served = objects.pods(backends())
    for whitelist, status in [("10.0.0.0/8", 403), ("127.0.0.0/9,10.0.0.1", 200), ("127.0.0.1", 200), ("junk", 403)]:
        router.serve([objects.service(whitelist=whitelist)], served)
        assert router.request()[0] == status, whitelist


def test_ssl_enforce_redirects_to_the_https_port(router, backends, objects):
    router.serve([objects.service(ssl_enforce="true")], objects.pods(backends()))
    status, headers, _ = router.request(path="/a?b=c")
    assert status == 301
    assert headers["Location"] == f"https://hello.paas.localhost:{router.https}/a?b=c"


def test_locations_send_paths_to_another_service(router, backends, objects):
    one, two = backends("one"), backends("two")
    locations = json.dumps([{"pattern": "/api,~ ^/v[0-9]+/", "service": "hello-api"}])
    router.serve(
        [objects.service(locations=locations)],
        [*objects.pods(one), *objects.pods(two, service="hello-api")],
    )
    answers = {path: router.ask(path=path)["by"] for path in ("/", "/api", "/api/x", "/v2/x", "/vx/")}
    assert answers == {"/": "one", "/api": "two", "/api/x": "two", "/v2/x": "two", "/vx/": "one"}


def test_the_platforms_host_goes_to_its_upstream(router, backends):
    from router.settings import Address

    router.serve(static={"paas.localhost": Address("127.0.0.1", backends("controller").port)})
    assert router.ask("paas.localhost")["by"] == "controller"
    status, _, body = router.request("paas.localhost", method="POST", headers={"Content-Length": str(600 << 20)})
    assert status == 413 and b"larger" in body


def test_the_platform_says_of_itself_that_it_may_be_restarting(router):
    from router.settings import Address

    router.serve(static={"paas.localhost": Address("127.0.0.1", 1)})
    status, headers, body = router.request("paas.localhost", headers={"Accept": "text/html"})
    assert (status, headers["Retry-After"], headers["Refresh"]) == (503, "5", "5")
    assert b"The platform doesn't answer right now" in body
    status, headers, body = router.request("paas.localhost", method="POST", headers={"Accept": "application/json"})
    assert status == 503 and "Refresh" not in headers and "may just be restarting" in json.loads(body)["detail"]


def test_paths_of_the_platforms_host_go_to_another_of_its_programs_with_bodies_of_any_size(router, backends):
    from router.settings import Address

    controller, builder = (Address("127.0.0.1", backends(name).port) for name in ("controller", "builder"))
    static = {"paas.localhost": controller, "paas.localhost ~ ^/[a-z][a-z0-9-]*[.]git/": builder}
    router.serve(static={**static, "paas.localhost ^~ /builder/": builder})
    paths = ("/", "/builder", "/builder/x", "/app.git/info/refs", "/apps/x.git", "/x/app.git/info/refs")
    asked = {path: router.ask("paas.localhost", path=path)["by"] for path in paths}
    assert [path for path, by in asked.items() if by == "builder"] == ["/builder/x", "/app.git/info/refs"]
    large = {"Content-Length": str(600 << 20)}
    assert router.request("paas.localhost", method="POST", headers=large)[0] == 413
    waiting = http.client.HTTPConnection("127.0.0.1", router.http, timeout=0.3)
    waiting.request("POST", "/builder/x", headers={"Host": "paas.localhost", **large})
    with pytest.raises(TimeoutError):  # not refused: the body is waited for
        waiting.getresponse()
    waiting.close()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ('Bearer realm="http://127.0.0.1:8000/v2/registry/token",service="r"',
         'Bearer realm="http://paas.localhost:PORT/v2/registry/token",service="r"'),
        ('Bearer realm="https://[::1]:8000/v2/registry/token"',
         'Bearer realm="http://paas.localhost:PORT/v2/registry/token"'),
        ('Bearer service="r",realm="http://controller.paas.svc/token"',
         'Bearer service="r",realm="http://paas.localhost:PORT/token"'),
        ('Basic realm="paas"', 'Basic realm="paas"'),
    ],
)  # fmt: skip
def test_where_tokens_are_is_said_under_the_name_that_was_asked_for(router, backends, said, heard):
    from router.settings import Address

    backend = backends("registry")
    backend.challenge = said
    router.serve(static={"paas.localhost": Address("127.0.0.1", backend.port)})
    status, headers, _ = router.request("paas.localhost", headers={"Host": f"paas.localhost:{router.http}"})
    assert status == 401 and headers["WWW-Authenticate"] == heard.replace("PORT", str(router.http))


def test_an_apps_own_challenge_is_left_alone(router, backends, objects):
    backend = backends("hello")
    backend.challenge = 'Bearer realm="http://127.0.0.1:8000/token"'
    router.serve([objects.service()], objects.pods(backend))
    status, headers, _ = router.request("hello")
    assert status == 401 and headers["WWW-Authenticate"] == backend.challenge


def test_peers_take_turns(router, backends, objects):
    router.serve([objects.service()], objects.pods(backends("one"), backends("two")))
    assert {router.ask()["by"] for _ in range(8)} == {"one", "two"}


def test_a_dead_peer_costs_no_request_even_one_with_a_body(router, backends, objects):
    alive, dead = backends("alive"), backends("dead")
    dead.stop()
    router.serve([objects.service()], objects.pods(alive, dead))
    assert {router.ask()["by"] for _ in range(10)} == {"alive"}
    assert {router.ask(method="POST", body=b"x" * 1000)["length"] for _ in range(10)} == {1000}


def test_a_get_moves_on_when_its_connection_breaks_and_a_post_does_not(router, backends, objects):
    backend = backends("one"), backends("two")
    router.serve([objects.service()], objects.pods(*backend))
    assert router.request(path="/vanish")[0] == 502
    assert sum(len(each.seen) for each in backend) == 2
    assert router.request(path="/vanish", method="POST", body=b"once")[0] == 502
    assert sum(len(each.seen) for each in backend) == 3


class Hasty:
    """An app that resets kept connections at their second request, unanswered, as one that was just closing them."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port, self.resets = self.server.getsockname()[1], 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.server.accept()[0],), daemon=True).start()

    def serve(self, connection):
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            if connection.recv(65536):
                self.resets += 1
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("processes", [1, 3])
def test_a_kept_connection_that_an_app_was_closing_costs_no_request(router, objects, processes):
    apps = [Hasty() for _ in range(processes)]
    router.serve([objects.service()], objects.pods(*(app.port for app in apps)))
    assert [router.request()[0] for _ in range(60)] == [200] * 60
    assert sum(app.resets for app in apps) > 3
    for app in apps:
        app.server.close()


def test_an_app_that_is_all_dead_says_so_in_words(router, objects):
    router.serve([objects.service()], objects.pods(1))
    status, _, body = router.request(headers={"Accept": "application/json"})
    assert status == 502 and "did not answer" in json.loads(body)["detail"]


def test_a_terminating_peer_keeps_its_request_and_gets_no_new_one(router, backends, objects):
    old, new = backends("old"), backends("new")
    router.serve([objects.service()], objects.pods(old))
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(router.ask(path="/wait")["by"]))
    waiting.start()
    assert old.entered.wait(60)
    router.serve([objects.service()], objects.pods(new, terminating=[old]))
    assert {router.ask()["by"] for _ in range(6)} == {"new"}
    old.release.set()
    waiting.join(60)
    assert answers == ["old"]


def test_a_websocket_passes_both_ways(router, backends, objects):
    router.serve([objects.service()], objects.pods(backends()))
    with socket.create_connection(("127.0.0.1", router.http), timeout=60) as client:
        client.sendall(
            b"GET /chat HTTP/1.1\r\nHost: hello.paas.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 101")
        for word in (b"one", b"two"):
            client.sendall(word)
            assert client.recv(4096) == word


def test_a_large_body_streams_through_whole(router, backends, objects):
    router.serve([objects.service()], objects.pods(backends()))
    assert router.ask(method="POST", body=b"x" * (50 << 20))["length"] == 50 << 20
    pieces = (b"y" * 100_000 for _ in range(100))
    assert router.ask(method="PUT", body=pieces)["length"] == 10_000_000


def make_certificate(host):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    data = {"tls.crt": certificate.public_bytes(pem), "tls.key": private}
    secret = {
        "metadata": {"namespace": "hello", "name": "www-cert"},
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }
    return secret, certificate.public_bytes(serialization.Encoding.DER)


def served_certificate(router, host):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", router.https), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname=host) as client,
    ):
        assert client.selected_alpn_protocol() == "h2"
        return client.getpeercert(binary_form=True)


def test_a_certificate_is_served_by_name_and_changes_without_a_reload(router, backends, objects):
    wanted = objects.service(domains="www.test,bare.test", certificates="www.test:www")
    served, workers = objects.pods(backends()), router.workers()
    for _ in range(2):
        secret, der = make_certificate("www.test")
        router.serve([wanted], served, [secret])
        assert served_certificate(router, "www.test") == der
        assert served_certificate(router, "bare.test") != der
    assert router.workers() == workers


def test_figures_of_an_app_are_counted_by_status_class(router, backends, objects):
    from router.proxy import UnixConnection

    router.serve([objects.service("counted", "counted")], objects.pods(backends(), namespace="counted"))
    for _ in range(3):
        router.ask("counted")
    router.serve([objects.service("counted", "counted")])
    router.request("counted")

    def figures():
        """Of every request: workers add them up once a second."""
        connection = UnixConnection(router.settings.admin_socket)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        return 'router_request_seconds_count{app="counted"} 4\n' in text and text

    text = wait_for(figures)
    assert 'router_requests_total{app="counted",class="2xx"} 3\n' in text
    assert 'router_requests_total{app="counted",class="5xx"} 1\n' in text


def test_a_thousand_domains_and_a_new_one_are_live_at_once(router, backends, objects):
    services = [objects.service(f"app{i}", f"app{i}") for i in range(1000)]
    backend = backends()
    slices = [piece for i in range(1000) for piece in objects.pods(backend, namespace=f"app{i}")]
    router.serve(services, slices)
    assert router.ask("app999")["by"] == "one"
    changed = router.serve(
        [*services, objects.service("late", "late")], slices + objects.pods(backend, namespace="late")
    )
    assert router.ask("late")["by"] == "one"
    assert changed == 3
    assert router.serve(services, slices) == 3
    assert router.request("late")[0] == 404


def test_an_app_that_stays_silent_is_504_after_its_time_and_not_asked_twice(router, backends, objects):
    slow = backends("one"), backends("two")
    router.serve([objects.service(tcpTimeout="1s")], objects.pods(*slow))
    status, _, body = router.request(path="/wait", headers={"Accept": "application/json"})
    assert status == 504 and "too long" in json.loads(body)["detail"]
    assert sum(len(each.seen) for each in slow) == 1


def test_an_only_peer_that_stays_silent_is_504_too(router, backends, objects):
    router.serve([objects.service(tcpTimeout="1s")], objects.pods(backends()))
    assert router.request(path="/wait")[0] == 504
    assert router.request(path="/")[0] == 200
