"""What is served beside the resources: health, version, discovery, OpenAPI, token keys, metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from orchestrator import errors
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.exchange import JSON, Exchange
from orchestrator.apiserver.metrics import Metrics
from orchestrator.apiserver.routes import unknown_path
from orchestrator.objects import discovery, openapi

_HEALTH = ("/healthz", "/livez", "/readyz")
_TEXT = b"text/plain; charset=utf-8"
_PROTOBUF_V2 = "application/com.github.proto-openapi.spec.v2"


class Pages:
    def __init__(self, api: Api, metrics: Metrics) -> None:
        self.api, self.metrics = api, metrics
        self._documents: tuple[int, openapi.Documents] | None = None

    async def serve(self, exchange: Exchange) -> None:
        if exchange.method not in ("GET", "HEAD"):
            raise errors.MethodNotAllowed(f"{exchange.path} can only be read")
        path = exchange.path.rstrip("/") or "/"
        if path.startswith(_HEALTH):
            await self._health(exchange, path)
        elif path == "/metrics":
            await exchange.answer(self.metrics.render(self.api).encode(), 200, b"text/plain; version=0.0.4")
        elif path.startswith("/openapi/v"):
            await self._openapi(exchange, path)
        elif (document := self._document(exchange, path)) is not None:
            await exchange.answer(*document)
        else:
            raise unknown_path()

    async def _health(self, exchange: Exchange, path: str) -> None:
        checks = {"ping": True, "store": not self.api.store.closed}
        if path.startswith("/readyz"):
            checks["shutdown"] = not self.api.draining
        good = all(checks.values())
        if exchange.flag("verbose") or not good:
            name = path.strip("/").split("/")[0]
            lines = [f"[{'+' if ok else '-'}]{check} {'ok' if ok else 'failed'}" for check, ok in checks.items()]
            text = "\n".join([*lines, f"{name} check {'passed' if good else 'failed'}", ""])
        else:
            text = "ok"
        await exchange.answer(text.encode(), 200 if good else 500, _TEXT)

    def _document(self, exchange: Exchange, path: str) -> tuple[bytes, int, bytes] | None:
        content = self._content(exchange, path.strip("/").split("/"))
        if content is None:
            return None
        content_type = JSON
        if content.get("kind") == "APIGroupDiscoveryList":
            beta = content["apiVersion"].endswith("beta1")
            content_type = (discovery.AGGREGATED_BETA if beta else discovery.AGGREGATED).encode()
        return orjson.dumps(content), 200, content_type

    def _content(self, exchange: Exchange, parts: list[str]) -> dict[str, Any] | None:
        served = tuple(self.api.kinds)
        match parts:
            case [""]:
                return {"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2",
                                  "/openapi/v3", "/readyz", "/version"]}  # fmt: skip
            case ["version"]:
                return discovery.version()
            case ["api" | "apis" as root]:
                if (aggregated := _aggregated(exchange)) is not None:
                    return discovery.aggregated(served, core=root == "api", beta=aggregated)
                address = f"{self.api.settings.address}:{self.api.settings.port}"
                return discovery.api_versions(address) if root == "api" else discovery.group_list(served)
            case ["api", "v1"]:
                return discovery.resource_list(served, "", "v1")
            case ["apis", group]:
                return discovery.group(served, group)
            case ["apis", group, version]:
                return discovery.resource_list(served, group, version)
            case [".well-known", "openid-configuration"]:
                issuer = self.api.settings.issuer
                return {
                    "issuer": issuer, "jwks_uri": self.api.settings.keys_url,
                    "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
                    "id_token_signing_alg_values_supported": ["RS256"],
                }  # fmt: skip
            case ["openid", "v1", "jwks"]:
                return {"keys": [self.api.signer.public_jwk()]}
        return None

    async def _openapi(self, exchange: Exchange, path: str) -> None:
        documents = self._current_documents()
        build: Callable[[], bytes | None]
        content_type, name = JSON, path.removeprefix("/openapi/v3").strip("/")
        if path == "/openapi/v2":
            name = ""
            build = documents.swagger
            if _PROTOBUF_V2 in exchange.header(b"accept"):
                content_type, build = openapi.PROTOBUF.encode(), documents.swagger_protobuf
        elif path == "/openapi/v3":
            build = documents.index
        elif path.startswith("/openapi/v3/"):

            def build() -> bytes | None:
                return documents.group_version(name)

        else:
            raise unknown_path()
        tag = f'"{documents.hash(name)}"'
        headers = [(b"etag", tag.encode()), (b"vary", b"Accept")]
        if exchange.header(b"if-none-match") == tag:
            await exchange.answer(b"", 304, content_type, headers)
            return
        body = build()
        if body is None:
            raise unknown_path()
        await exchange.answer(body, 200, content_type, headers)

    def _current_documents(self) -> openapi.Documents:
        version = self.api.kinds.version
        if self._documents is None or self._documents[0] != version:
            self._documents = (version, openapi.Documents(tuple(self.api.kinds)))
        return self._documents[1]


def _aggregated(exchange: Exchange) -> bool | None:
    """Whether the client asks first for aggregated discovery: None for no, else whether it wants the beta form."""
    for wanted in exchange.header(b"accept").split(","):
        parameters = set(wanted.replace(" ", "").split(";"))
        if "as=APIGroupDiscoveryList" not in parameters:
            if "application/json" in parameters:
                return None
            continue
        if "v=v2" in parameters:
            return False
        if "v=v2beta1" in parameters:
            return True
    return None
