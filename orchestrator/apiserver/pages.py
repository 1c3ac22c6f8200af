"""What is served beside the resources: health, version, discovery, OpenAPI, metrics."""

from __future__ import annotations

from typing import Any

from orchestrator import errors
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.exchange import Exchange
from orchestrator.apiserver.routes import unknown_path

VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0+paas",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "cpython",
    "platform": "linux/amd64",
}
_HEALTH = ("/healthz", "/livez", "/readyz")


class Pages:
    def __init__(self, api: Api) -> None:
        self.api = api

    async def serve(self, exchange: Exchange) -> None:
        if exchange.method not in ("GET", "HEAD"):
            raise errors.MethodNotAllowed(f"{exchange.path} can only be read")
        path = exchange.path.rstrip("/") or "/"
        if path.startswith(_HEALTH):
            await self._health(exchange)
        elif path == "/version":
            await exchange.answer_json(VERSION)
        elif (document := self._discovery(path)) is not None:
            await exchange.answer_json(document)
        else:
            raise unknown_path()

    async def _health(self, exchange: Exchange) -> None:
        await exchange.answer(b"ok", 200, b"text/plain; charset=utf-8")

    def _discovery(self, path: str) -> dict[str, Any] | None:
        parts = path.strip("/").split("/")
        match parts:
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            case ["apis"]:
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": self._groups()}
            case ["api", "v1"]:
                return self._resources("", "v1")
            case ["apis", group]:
                found = [g for g in self._groups() if g["name"] == group]
                return {"kind": "APIGroup", "apiVersion": "v1", **found[0]} if found else None
            case ["apis", group, version]:
                return self._resources(group, version)
        return None

    def _groups(self) -> list[dict[str, Any]]:
        groups: dict[str, list[str]] = {}
        for resource in self.api.kinds:
            versions = groups.setdefault(resource.group, [])
            if resource.version not in versions:
                versions.append(resource.version)
        del groups[""]
        rows = []
        for group, versions in groups.items():
            listed = [{"groupVersion": f"{group}/{v}", "version": v} for v in sorted(versions, reverse=True)]
            rows.append({"name": group, "versions": listed, "preferredVersion": listed[0]})
        return rows

    def _resources(self, group: str, version: str) -> dict[str, Any] | None:
        rows: list[dict[str, Any]] = []
        for resource in self.api.kinds:
            if (resource.group, resource.version) != (group, version):
                continue
            row: dict[str, Any] = {
                "name": resource.plural,
                "singularName": resource.singular or resource.kind.lower(),
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": list(resource.verbs),
            }
            if resource.short_names:
                row["shortNames"] = list(resource.short_names)
            if resource.categories:
                row["categories"] = list(resource.categories)
            rows.append(row)
            for subresource in resource.subresources:
                rows.append({
                    "name": f"{resource.plural}/{subresource}", "singularName": "", "kind": resource.kind,
                    "namespaced": resource.namespaced, "verbs": ["get", "patch", "update"],
                })  # fmt: skip
        if not rows:
            return None
        group_version = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": rows}
