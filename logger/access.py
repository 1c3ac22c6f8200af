"""Where the Kubernetes API is and who we are to it: a kubeconfig, or the service account mounted into the pod."""

from __future__ import annotations

import base64
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from logger.errors import BadSetting

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER = ("kubernetes.default.svc", 443)


@dataclass(frozen=True)
class Access:
    """A server, with what its paths begin with; `token_file` is read anew for every request: its content is renewed."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    token: str = ""
    token_file: str = ""
    prefix: str = ""

    def headers(self) -> list[tuple[str, str]]:
        token = Path(self.token_file).read_text().strip() if self.token_file else self.token
        return [("Authorization", f"Bearer {token}")] if token else []


def load_access(kubeconfig: str) -> Access:
    """Raises: BadSetting when the file can't be used."""
    if not kubeconfig:
        context = trusting(cafile=str(SERVICE_ACCOUNT / "ca.crt"))
        return Access(*IN_CLUSTER, context, token_file=str(SERVICE_ACCOUNT / "token"))
    import yaml  # only here, and only once

    try:
        content = yaml.safe_load(Path(kubeconfig).read_text())
        current = content.get("current-context") or content["contexts"][0]["name"]
        context = _named(content["contexts"], current)["context"]
        cluster = _named(content["clusters"], context["cluster"])["cluster"]
        user = _named(content["users"], context["user"])["user"]
        if "exec" in user or "auth-provider" in user:
            raise ValueError("it runs a program to sign in; give it a token or a client certificate")
        url, folder = urlsplit(cluster["server"]), Path(kubeconfig).parent
        port = url.port or (443 if url.scheme == "https" else 80)
        tls = _tls(cluster, user, folder) if url.scheme == "https" else None
        file = str(folder / user["tokenFile"]) if user.get("tokenFile") else ""
        return Access(url.hostname or "", port, tls, user.get("token", ""), file, url.path.rstrip("/"))
    except (OSError, KeyError, IndexError, TypeError, AttributeError, ValueError, yaml.YAMLError) as exc:
        raise BadSetting(f"the kubeconfig {kubeconfig} can't be used ({exc!r}); correct it and start again") from exc


def trusting(*, cafile: str | None = None, cadata: str | None = None) -> ssl.SSLContext:
    """What trusts a cluster's authority, as other clients of Kubernetes do."""
    context = ssl.create_default_context(cafile=cafile, cadata=cadata)
    # Python 3.13 asks of authorities what many clusters' own lack and Go's clients never missed: key usage, say.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _tls(cluster: dict[str, Any], user: dict[str, Any], folder: Path) -> ssl.SSLContext:
    """Files are named as seen from the kubeconfig's `folder`."""
    if data := cluster.get("certificate-authority-data"):
        context = trusting(cadata=base64.b64decode(data).decode())
    else:
        authority = cluster.get("certificate-authority")
        context = trusting(cafile=str(folder / authority) if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if user.get("client-certificate-data"):
        with tempfile.NamedTemporaryFile(prefix="client-", suffix=".pem") as file:  # ssl reads files only
            file.write(base64.b64decode(user["client-certificate-data"]) + b"\n")
            file.write(base64.b64decode(user["client-key-data"]))
            file.flush()
            context.load_cert_chain(file.name)
    elif user.get("client-certificate"):
        context.load_cert_chain(folder / user["client-certificate"], folder / user["client-key"])
    return context
