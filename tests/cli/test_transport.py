"""Ways to the controller: proxies, TLS, names under .localhost, silence."""

from __future__ import annotations

import datetime
import json
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cli.transport import connect_socket


def log_in_at(logged_in, controller, **more):
    profile = json.loads(logged_in.read_text())
    logged_in.write_text(json.dumps(profile | {"controller": controller} | more))


def test_a_proxy_is_asked_for_whole_addresses_with_its_login(platform, paas, logged_in, monkeypatch):
    log_in_at(logged_in, "http://paas.example.test")
    monkeypatch.setenv("http_proxy", f"http://me:s%3Ccret@127.0.0.1:{platform.port}")
    platform.page("http://paas.example.test/v2/apps/", [{"id": "hello"}])
    assert paas("apps").out == "=== Apps\nhello\n"
    assert platform.asked[0].headers["Host"] == "paas.example.test"
    assert platform.asked[0].headers["Proxy-Authorization"] == "Basic bWU6czxjcmV0"


def test_hosts_excluded_from_the_proxy_and_this_machine_are_reached_directly(platform, paas, logged_in, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    platform.page("/v2/apps/", [])
    assert paas("apps").code == 0
    log_in_at(logged_in, f"http://127.0.0.1:{platform.port}")
    assert paas("apps").code == 0
    log_in_at(logged_in, "http://paas.example.test:1")
    assert "can't be reached" in paas("apps").err or "Nothing answers" in paas("apps").err


@pytest.fixture
def tls_platform(platform, tmp_path):
    """The double behind a certificate that nobody signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "paas.localhost")])
    now = datetime.datetime.now(datetime.UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    built = built.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName("paas.localhost")]), critical=False)
    file = tmp_path / "tls.pem"
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    file.write_bytes(plain + built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    platform.server.socket = context.wrap_socket(platform.server.socket, server_side=True)
    platform.certificate = file
    return platform


def test_an_untrusted_certificate_is_refused_with_the_way_out(tls_platform, paas, logged_in):
    log_in_at(logged_in, f"https://paas.localhost:{tls_platform.port}")
    result = paas("apps")
    assert result.code == 7
    assert "is not trusted" in result.err and "--ssl-verify=false" in result.err
    assert tls_platform.asked == []


def test_an_untrusted_certificate_is_accepted_when_asked_to(tls_platform, paas, logged_in):
    log_in_at(logged_in, f"https://paas.localhost:{tls_platform.port}", ssl_verify=False)
    tls_platform.page("/v2/apps/", [])
    assert paas("apps").code == 0


def test_a_trusted_certificate_is_checked_against_the_name(tls_platform, paas, logged_in, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_platform.certificate))
    tls_platform.page("/v2/apps/", [])
    log_in_at(logged_in, f"https://paas.localhost:{tls_platform.port}")
    assert paas("apps").code == 0
    log_in_at(logged_in, f"https://other.localhost:{tls_platform.port}")
    assert paas("apps").code == 7


def test_localhost_names_need_no_resolver(platform, monkeypatch):
    def no_resolver(*args, **kwargs):
        raise AssertionError("asked the resolver")

    connect_socket("any.name.localhost", platform.port, 1).close()
    monkeypatch.setattr(socket, "getaddrinfo", no_resolver)
    with pytest.raises(AssertionError):
        connect_socket("paas.example.test", platform.port, 1)


def test_an_answer_that_never_comes_has_a_deadline(paas, logged_in, monkeypatch):
    monkeypatch.setattr("cli.client.Client.get", quick(0.2))
    listener = socket.create_server(("127.0.0.1", 0))
    log_in_at(logged_in, f"http://127.0.0.1:{listener.getsockname()[1]}")
    result = paas("apps")
    listener.close()
    assert result.code == 8
    assert "did not answer within 0 s" in result.err


def quick(seconds):
    from cli.client import Client

    get = Client.get
    return lambda self, where, **query: get(self, where, **{**query, "timeout": seconds})


def test_a_connection_that_breaks_in_the_middle_is_said_so(paas, logged_in):
    listener = socket.create_server(("127.0.0.1", 0))

    def answer_half():
        peer, _ = listener.accept()
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nDEIS_API_VERSION: 2.3\r\n\r\n{")
        peer.close()

    thread = threading.Thread(target=answer_half)
    thread.start()
    log_in_at(logged_in, f"http://127.0.0.1:{listener.getsockname()[1]}")
    result = paas("apps")
    thread.join()
    listener.close()
    assert result.code == 7
    assert "broke" in result.err
