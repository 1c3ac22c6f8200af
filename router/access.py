"""Who the router is to the Kubernetes API: a kubeconfig, or the service account mounted into its pod.

Read with the standard library and PyYAML: the official client costs more memory than all else here together.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from router.errors import RouterError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class BadKubeconfig(RouterError):
    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"the kubeconfig {path or '(KUBECONFIG is empty)'} cannot be used: {problem}")


class ApiFailure(RouterError):
    """The API server answered, with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"the API server answered {status}: {text}")
        self.status = status


@dataclass(frozen=True)
class Access:
    host: str
    port: int
    prefix: str
    context: ssl.SSLContext | None
    token: str = ""
    token_file: str = ""

    def open(
        self, path: str, query: Mapping[str, str], timeout: float
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """A GET whose answer has begun; the caller closes the connection. Raises: ApiFailure, OSError."""
        if self.context:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self.host, self.port, timeout=timeout, context=self.context
            )
        else:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        headers = {"Accept": "application/json", "User-Agent": "paas-router"}
        token = Path(self.token_file).read_text().strip() if self.token_file else self.token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            connection.request("GET", f"{self.prefix}{path}?{urlencode(query)}", headers=headers)
            response = connection.getresponse()
            if response.status != 200:
                raise ApiFailure(response.status, _message(response.read(65536)))
        except BaseException:
            connection.close()
            raise
        return connection, response


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")


def load_access(kubeconfig: str, in_cluster: tuple[str, int] | None = None) -> Access:
    """`in_cluster` is the API server's address in a pod, used without a kubeconfig. Raises: BadKubeconfig."""
    if not kubeconfig:
        return _service_account(in_cluster)
    try:
        config = yaml.load(Path(kubeconfig).read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        context = _named(config, "contexts", "context", config["current-context"])
        cluster = _named(config, "clusters", "cluster", context["cluster"])
        user = _named(config, "users", "user", context["user"])
        server = urlsplit(cluster["server"])
    except OSError as exc:
        raise BadKubeconfig(kubeconfig, f"{exc.strerror}; start the API server first, which writes it") from exc
    except (yaml.YAMLError, KeyError, TypeError, StopIteration) as exc:
        raise BadKubeconfig(kubeconfig, f"it lacks {exc}") from exc
    if "exec" in user or "auth-provider" in user:
        raise BadKubeconfig(kubeconfig, "it runs a program to sign in; give it a token or a client certificate")
    folder = Path(kubeconfig).parent
    tls = None
    if server.scheme == "https":
        try:
            tls = _tls(cluster, user, folder)
        except (OSError, ValueError) as exc:
            raise BadKubeconfig(kubeconfig, f"its certificates cannot be read ({exc})") from exc
    return Access(
        server.hostname or "",
        server.port or (443 if tls else 80),
        server.path.rstrip("/"),
        tls,
        user.get("token", ""),
        str(folder / user["tokenFile"]) if user.get("tokenFile") else "",
    )


def _named(config: Mapping[str, Any], section: str, field: str, name: str) -> Mapping[str, Any]:
    return next(item for item in config[section] if item["name"] == name)[field] or {}


def _service_account(server: tuple[str, int] | None) -> Access:
    if server is None:
        raise BadKubeconfig("", "set KUBECONFIG, or run the router in a pod with a service account")
    try:
        context = trusting(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
    except OSError as exc:
        raise BadKubeconfig("", f"the service account's {SERVICE_ACCOUNT}/ca.crt cannot be read ({exc})") from exc
    return Access(*server, "", context, token_file=str(SERVICE_ACCOUNT / "token"))


def trusting(*, cafile: str | None = None, cadata: str | None = None) -> ssl.SSLContext:
    """What trusts a cluster's authority, as other clients of Kubernetes do."""
    context = ssl.create_default_context(cafile=cafile, cadata=cadata)
    # Python 3.13 asks of authorities what many clusters' own lack and Go's clients never missed: key usage, say.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _material(section: Mapping[str, Any], field: str, folder: Path) -> bytes | None:
    if data := section.get(f"{field}-data"):
        return base64.b64decode(data)
    return (folder / section[field]).read_bytes() if section.get(field) else None


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _material(cluster, "certificate-authority", folder)
    context = trusting(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate, key = _material(user, "client-certificate", folder), _material(user, "client-key", folder)
    if certificate and key:
        # The ssl module reads key pairs from files only; this one never touches a disk.
        with os.fdopen(os.memfd_create("client", os.MFD_CLOEXEC), "wb") as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    return context
