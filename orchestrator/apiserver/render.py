"""How records leave the server: as they are, as table rows, or as their metadata alone."""

from __future__ import annotations

from typing import Protocol

import orjson

from orchestrator.apiserver.api import Api
from orchestrator.apiserver.exchange import JSON
from orchestrator.apiserver.read import Page
from orchestrator.apiserver.watch import Event
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.store.record import Record


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
        value = event.record.value if event.record is not None else orjson.dumps(event.bookmark)
        return b'{"type":"%b","object":%b}\n' % (event.type.encode(), value)


def renderer_for(api: Api, resource: Resource, accept: str, include_object: str | None) -> Renderer:
    return JsonRenderer(resource)
