"""A program that the API server asks: HTTPS with a certificate of its own authority, answering as a test says."""

from __future__ import annotations

import base64
import datetime
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(subject: str, issuer: str, key, signer, *extensions) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(_name(subject)).issuer_name(_name(issuer))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=1))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signer, hashes.SHA256())


class Program:
    """Listens on every address; `answer(path, request)` gives the response, `asked` holds the requests."""

    def __init__(self, folder: Path, names: tuple[str, ...] = ()) -> None:
        """`names` are further host names that the certificate is for."""
        self.folder = folder
        self.asked: list[tuple[str, dict]] = []
        self.answer: Callable[[str, dict], dict] = lambda path, review: allow()
        self.ca = self._make_identity(folder, names)
        program = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                path = self.path.partition("?")[0]
                program.asked.append((path, review["request"]))
                response = {"uid": review["request"]["uid"], **program.answer(path, review["request"])}
                content = json.dumps({**review, "request": None, "response": response}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "webhook.pem")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _make_identity(self, folder: Path, names: tuple[str, ...]) -> str:
        authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        basic = x509.BasicConstraints(ca=True, path_length=None)
        ca = _certificate("webhook authority", "webhook authority", authority, authority, basic)
        hosts = [x509.IPAddress(ip_address("127.0.0.1")), *(x509.DNSName(name) for name in names)]
        leaf = _certificate("webhook", "webhook authority", key, authority, x509.SubjectAlternativeName(hosts))
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / "webhook.pem").write_bytes(private + leaf.public_bytes(pem))
        return base64.b64encode(ca.public_bytes(pem)).decode()

    def client(self, path: str) -> dict:
        """A clientConfig that leads here by URL."""
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.ca}

    def service(self, name: str, namespace: str, path: str) -> dict:
        """A clientConfig that leads to a Service; its port is the one Kubernetes takes by default."""
        return {"service": {"name": name, "namespace": namespace, "path": path}, "caBundle": self.ca}

    def for_names(self, *names: str) -> Program:
        """Another program, whose certificate is for these host names."""
        folder = self.folder / names[0]
        folder.mkdir()
        return Program(folder, names)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def allow(*operations: dict, **response) -> dict:
    """With a JSON patch, when there are `operations`."""
    if operations:
        patch = base64.b64encode(json.dumps(operations).encode()).decode()
        response |= {"patchType": "JSONPatch", "patch": patch}
    return {"allowed": True, **response}


def deny(message: str, **status) -> dict:
    return {"allowed": False, "status": {"message": message, **status}}


def webhook(
    name: str, client: dict, *, operations=("CREATE",), resources=("configmaps",), groups=("",), **fields
) -> dict:
    """One entry of a configuration, of all versions of `resources`."""
    rule = {
        "operations": list(operations), "apiGroups": list(groups), "apiVersions": ["*"], "resources": list(resources),
    }  # fmt: skip
    return {
        "name": name, "clientConfig": client, "rules": [rule], "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "timeoutSeconds": 5, **fields,
    }  # fmt: skip


def configuration(kind: str, name: str, *hooks: dict) -> dict:
    """`kind`: Mutating or Validating."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": name}, "webhooks": list(hooks),
    }  # fmt: skip
