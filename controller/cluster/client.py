"""The controller's way to the Kubernetes API: the official client, spoken to in plain dictionaries.

`Cluster` is what the rest of `cluster/` needs; `KubernetesCluster` is the real one, the tests have a small one
under the same contract. Foreign errors become ours here.
"""

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from functools import cache
from typing import Protocol
from urllib.parse import urlencode, urlsplit

import urllib3.exceptions
from django.conf import settings

from controller.errors import ClusterTrouble

FIELD_MANAGER = "paas-controller"
CONNECT_TIMEOUT = 5.0  # seconds; the API server is near
READ_TIMEOUT = 10.0  # seconds for one answer

PATHS = {
    "Namespace": ("api/v1", "namespaces", False),
    "Node": ("api/v1", "nodes", False),
    "Pod": ("api/v1", "pods", True),
    "Secret": ("api/v1", "secrets", True),
    "Service": ("api/v1", "services", True),
    "Event": ("api/v1", "events", True),
    "Deployment": ("apis/apps/v1", "deployments", True),
    "EndpointSlice": ("apis/discovery.k8s.io/v1", "endpointslices", True),
    "ReplicaSet": ("apis/apps/v1", "replicasets", True),
    "PodMetrics": ("apis/metrics.k8s.io/v1beta1", "pods", True),
    "HorizontalPodAutoscaler": ("apis/autoscaling/v2", "horizontalpodautoscalers", True),
    "Job": ("apis/batch/v1", "jobs", True),
    "CronJob": ("apis/batch/v1", "cronjobs", True),
}

Manifest = dict
Query = list[tuple[str, str]]


class ClusterError(ClusterTrouble):
    """The API server said no; `code` is its HTTP status, `reason` the Status object's."""

    def __init__(self, code: int, reason: str, text: str):
        super().__init__(text)
        self.code, self.reason = code, reason


class Unreachable(ClusterTrouble):
    """Nobody answered; trying again later may help."""


class WatchExpired(ClusterTrouble):
    """The version to watch from is gone; list again."""


class Watch(Protocol):
    """Events of one kind; iterate it, and `close` it from any thread to end the iteration."""

    def __iter__(self) -> Iterator[tuple[str, Manifest]]: ...
    def close(self) -> None: ...


class Cluster(Protocol):
    def apply(self, manifest: Manifest) -> Manifest:
        """Makes `manifest` so (server-side apply, ours by force) and returns the object."""

    def create(self, manifest: Manifest) -> Manifest: ...
    def get(self, kind: str, namespace: str | None, name: str) -> Manifest | None: ...
    def list(self, kind: str, namespace: str | None, labels: str = "", fields: str = "") -> tuple[list[Manifest], str]:
        """The objects, and the resourceVersion to watch from."""

    def delete(self, kind: str, namespace: str | None, name: str, grace: int | None = None) -> None:
        """Deletes with cascade; an absent object is success."""

    def watch(self, kind: str, namespace: str | None, since: str, labels: str = "", seconds: int = 60) -> Watch: ...
    def logs(self, namespace: str, pod: str, **options) -> str: ...
    def follow_logs(self, namespace: str, pod: str, **options) -> "LineStream": ...
    def open_tunnel(self, namespace: str, pod: str, what: str, query: "Query", offered: dict):
        """A `tunnels.Tunnel` to the pod's subresource `what` (exec, portforward).

        `offered` is the client's WebSocket handshake.
        """


def path_of(kind: str, namespace: str | None, name: str | None = None) -> str:
    prefix, plural, namespaced = PATHS[kind]
    scope = f"/namespaces/{namespace}" if namespaced and namespace else ""
    return f"/{prefix}{scope}/{plural}" + (f"/{name}" if name else "")


class LineStream:
    """Lines of a response that goes on; `close` works from another thread."""

    def __init__(self, response):
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        try:
            for chunk in self._response.stream(65536, decode_content=False):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError):
            return  # closed by us, by the server's timeout, or by its death: the reader lists again
        if rest:
            yield rest

    def close(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            connection = getattr(self._response, "connection", None) or getattr(self._response, "_connection", None)
            if connection is not None and connection.sock is not None:
                connection.sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(Exception):
            self._response.close()


class EventStream:
    def __init__(self, lines: LineStream):
        self._lines = lines

    def __iter__(self) -> Iterator[tuple[str, Manifest]]:
        for line in self._lines:
            if not line.strip():
                continue
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise WatchExpired(event["object"].get("message", "the watch ended"))
            yield event["type"], event["object"]

    def close(self) -> None:
        self._lines.close()


class KubernetesCluster:
    """A cluster by its kubeconfig, or this pod's own; over the official client's configuration and transport."""

    def __init__(self, kubeconfig: str):
        from kubernetes import client, config  # 20 MB and 0.2 s: only where a cluster is really asked

        configuration = client.Configuration()
        if kubeconfig:
            config.load_kube_config(kubeconfig, client_configuration=configuration)
        else:
            config.load_incluster_config(client_configuration=configuration)
        configuration.connection_pool_maxsize = 32
        configuration.retries = False
        self._client = client.ApiClient(configuration)
        self._client.rest_client.pool_manager.connection_pool_kw["ssl_context"] = self._tls()
        self._exception = client.ApiException

    def apply(self, manifest):
        meta = manifest["metadata"]
        path = path_of(manifest["kind"], meta.get("namespace"), meta["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return self._json("PATCH", path, query, manifest, "application/apply-patch+yaml")

    def create(self, manifest):
        path = path_of(manifest["kind"], manifest["metadata"].get("namespace"))
        return self._json("POST", path, {"fieldManager": FIELD_MANAGER}, manifest)

    def get(self, kind, namespace, name):
        try:
            return self._json("GET", path_of(kind, namespace, name))
        except ClusterError as exc:
            if exc.code == 404:
                return None
            raise

    def list(self, kind, namespace, labels="", fields=""):
        query = {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        answer = self._json("GET", path_of(kind, namespace), query)
        return answer.get("items") or [], answer["metadata"].get("resourceVersion", "")

    def delete(self, kind, namespace, name, grace=None):
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self._json("DELETE", path_of(kind, namespace, name), {}, options)
        except ClusterError as exc:
            if exc.code != 404:
                raise

    def watch(self, kind, namespace, since, labels="", seconds=60):
        query = {"watch": "true", "resourceVersion": since, "timeoutSeconds": str(seconds)}
        if labels:
            query["labelSelector"] = labels
        response = self._open("GET", path_of(kind, namespace), query, timeout=(CONNECT_TIMEOUT, seconds + READ_TIMEOUT))
        return EventStream(LineStream(response))

    def logs(self, namespace, pod, **options):
        response = self._open("GET", path_of("Pod", namespace, pod) + "/log", options)
        return response.data.decode("utf-8", "replace")

    def follow_logs(self, namespace, pod, **options):
        query = {**options, "follow": "true"}
        return LineStream(
            self._open("GET", path_of("Pod", namespace, pod) + "/log", query, timeout=(CONNECT_TIMEOUT, None))
        )

    def open_tunnel(self, namespace, pod, what, query, offered):
        from controller.cluster import tunnels  # an event loop: only where a session is opened

        prefix = urlsplit(self._client.configuration.host).path.rstrip("/")
        path = f"{prefix}{path_of('Pod', namespace, pod)}/{what}"
        return tunnels.open_tunnel(self._endpoint(), path, query, offered)

    def _endpoint(self):
        """Where the API server listens, and who we are to it."""
        from controller.cluster import tunnels

        settings, headers = self._client.configuration, {}
        self._client.update_params_for_auth(headers, [], ["BearerToken"], "/", "GET", None)
        url = urlsplit(settings.host)
        port = url.port or (443 if url.scheme == "https" else 80)
        tls = self._tls() if url.scheme == "https" else None
        return tunnels.Endpoint(url.hostname, port, tls, tuple(headers.items()))

    def _tls(self):
        settings = self._client.configuration
        context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
        # Python 3.13 asks of authorities what many clusters' own lack and Go's clients never missed: key usage, say.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        if not settings.verify_ssl:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    def _json(self, method, path, query=None, body=None, content_type="application/json"):
        return json.loads(self._open(method, path, query or {}, body, content_type).data)

    def _open(self, method, path, query, body=None, content_type="application/json", timeout=None):
        url = self._client.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "User-Agent": FIELD_MANAGER}
        if body is not None:
            headers["Content-Type"] = content_type
            body = body if content_type == "application/json" else json.dumps(body)
        self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        try:
            answer = self._client.call_api(
                method, url, headers, body, _request_timeout=timeout or (CONNECT_TIMEOUT, READ_TIMEOUT)
            )
            response = answer.response
            if response.status >= 400:
                raise refusal(response.status, response.data)
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise Unreachable(
                f"the orchestrator's API doesn't answer ({type(exc).__name__}); try again shortly"
            ) from exc
        except self._exception as exc:
            raise Unreachable(f"the orchestrator's API can't be spoken to: {exc.reason}") from exc
        return response


def refusal(code: int, raw: bytes) -> ClusterError | WatchExpired:
    """The Status object of an answer as our error."""
    try:
        status = json.loads(raw)
        reason, message = status.get("reason", ""), status.get("message", "")
    except (ValueError, AttributeError):
        reason, message = "", raw[:300].decode("utf-8", "replace")
    if code == 410:
        return WatchExpired(message)
    return ClusterError(code, reason, message or f"the orchestrator answered {code}")


@cache
def cluster() -> Cluster:
    """The cluster this controller drives."""
    return KubernetesCluster(settings.KUBECONFIG)
