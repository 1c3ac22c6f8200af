"""How records leave the server: as they are, as table rows, or as their metadata alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Protocol

import orjson

from orchestrator import errors
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.exchange import JSON
from orchestrator.apiserver.read import Page
from orchestrator.apiserver.watch import Event
from orchestrator.objects.conversions import convert
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.objects.printers import table
from orchestrator.store.record import Record

_INCLUDE_OBJECT = ("None", "Metadata", "Object")


class Renderer(Protocol):
    content_type: bytes

    def one(self, record: Record) -> bytes: ...

    def page(self, page: Page) -> bytes: ...

    def event(self, event: Event) -> bytes:
        """One line of a watch."""


def list_meta(page: Page) -> Obj:
    meta: Obj = {"resourceVersion": str(page.revision)}
    if page.continue_token:
        meta["continue"] = page.continue_token
        if page.remaining is not None:
            meta["remainingItemCount"] = page.remaining
    return meta


def event_line(kind: str, value: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (kind.encode(), value)


class JsonRenderer:
    """Sends the bytes the store encoded, untouched."""

    content_type = JSON

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    def one(self, record: Record) -> bytes:
        return record.value

    def page(self, page: Page) -> bytes:
        resource = self.resource
        head = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": list_meta(page)}
        items = b",".join([record.value for record in page.records])
        return b'%b,"items":[%b]}' % (orjson.dumps(head)[:-1], items)

    def event(self, event: Event) -> bytes:
        return event_line(event.type, event.record.value if event.record is not None else orjson.dumps(event.bookmark))


class TableRenderer:
    """`kubectl get`: the columns its users know, printed by the server."""

    content_type = JSON

    def __init__(self, api: Api, resource: Resource, include_object: Any) -> None:
        self.api, self.resource, self.include = api, resource, include_object
        self._told_columns = False

    def _table(self, objs: Iterable[Obj], meta: Obj) -> Obj:
        return table(self.resource, objs, now=self.api.now(), include_object=self.include, list_meta=meta)

    def one(self, record: Record) -> bytes:
        return orjson.dumps(self._table([record.obj], {"resourceVersion": str(record.revision)}))

    def page(self, page: Page) -> bytes:
        return orjson.dumps(self._table([record.obj for record in page.records], list_meta(page)))

    def event(self, event: Event) -> bytes:
        if event.record is None:
            assert event.bookmark is not None
            meta = event.bookmark["metadata"]
            content = self._table([], {"resourceVersion": meta["resourceVersion"]})
            content["rows"] = [{"cells": [], "object": _partial(event.bookmark)}]
        else:
            content = self._table([event.record.obj], {"resourceVersion": str(event.record.revision)})
        if self._told_columns:
            content["columnDefinitions"] = None
        self._told_columns = True
        return event_line(event.type, orjson.dumps(content))


class PartialRenderer:
    """`PartialObjectMetadata`: for clients that track objects without reading them."""

    content_type = JSON

    def __init__(self, resource: Resource) -> None:
        self.resource = resource

    def one(self, record: Record) -> bytes:
        return orjson.dumps(_partial(record.obj))

    def page(self, page: Page) -> bytes:
        head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": list_meta(page)}
        return orjson.dumps({**head, "items": [_partial(record.obj) for record in page.records]})

    def event(self, event: Event) -> bytes:
        obj = event.record.obj if event.record is not None else event.bookmark
        return event_line(event.type, orjson.dumps(_partial(obj or {})))


class ConvertingRenderer:
    """Shows records in another version than the one they are stored in, or with defaults that came later."""

    def __init__(self, resource: Resource, renderer: Renderer) -> None:
        self.resource, self.renderer = resource, renderer
        self.content_type = renderer.content_type

    def _converted(self, record: Record) -> Record:
        obj = convert(record.obj, self.resource)
        return record if obj is record.obj else Record(record.resource, record.key, record.revision, obj)

    def one(self, record: Record) -> bytes:
        return self.renderer.one(self._converted(record))

    def page(self, page: Page) -> bytes:
        return self.renderer.page(dataclasses.replace(page, records=[self._converted(r) for r in page.records]))

    def event(self, event: Event) -> bytes:
        if event.record is not None:
            return self.renderer.event(Event(event.type, self._converted(event.record)))
        bookmark = {**(event.bookmark or {}), "apiVersion": self.resource.api_version, "kind": self.resource.kind}
        return self.renderer.event(Event(event.type, None, bookmark))


def _partial(obj: Obj) -> Obj:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def renderer_for(api: Api, resource: Resource, accept: str, include_object: str | None) -> Renderer:
    """The first of the media types in `accept` that this server can make. Raises: NotAcceptable, BadRequest."""
    custom = resource.custom
    if api.stored_version(resource) != resource or (custom is not None and (custom.has_defaults or custom.several)):
        return ConvertingRenderer(resource, _renderer_for(api, resource, accept, include_object))
    return _renderer_for(api, resource, accept, include_object)


def check_plain(accept: str) -> None:
    """For kinds that have no metadata, and so no other form than their own. Raises: NotAcceptable."""
    if accept and all(";as=" in wanted.replace(" ", "") for wanted in accept.split(",")):
        raise errors.NotAcceptable("only the following media types are accepted: application/json")


def _renderer_for(api: Api, resource: Resource, accept: str, include_object: str | None) -> Renderer:
    if not accept or accept.startswith("application/json,") or accept in ("application/json", "*/*"):
        return JsonRenderer(resource)
    for wanted in accept.split(","):
        media, *parameters = (part.strip() for part in wanted.split(";"))
        options = dict(part.split("=", 1) for part in parameters if "=" in part)
        if media not in ("application/json", "application/*", "*/*"):
            continue
        match options.get("as"):
            case None:
                return JsonRenderer(resource)
            case "Table" if options.get("v") == "v1" and options.get("g") == "meta.k8s.io":
                if include_object not in (None, "", *_INCLUDE_OBJECT):
                    raise errors.BadRequest(f'includeObject "{include_object}" is not one of {_INCLUDE_OBJECT}')
                return TableRenderer(api, resource, include_object or "Metadata")
            case "PartialObjectMetadata" | "PartialObjectMetadataList" if options.get("v") == "v1":
                return PartialRenderer(resource)
    raise errors.NotAcceptable("only the following media types are accepted: application/json")
