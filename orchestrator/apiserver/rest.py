"""The REST verbs over HTTP: options read from the query and body, records written as JSON, tables or metadata."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence

from orchestrator import errors
from orchestrator.apiserver import create, delete, patch, read, subresources, update, watch
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.endpoint_proxy import EndpointProxy
from orchestrator.apiserver.exchange import Exchange
from orchestrator.apiserver.node_proxy import NodeProxy
from orchestrator.apiserver.render import Renderer, check_plain, renderer_for
from orchestrator.apiserver.reviews import Reviews
from orchestrator.apiserver.routes import Route
from orchestrator.apiserver.streams import stream_events
from orchestrator.apiserver.webhooks import connect, conversion
from orchestrator.client import PatchType
from orchestrator.objects.apply import check_manager
from orchestrator.objects.decode import decode
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.store.record import Record

_SCALE = Resource("autoscaling", "v1", "scales", "Scale")
_MAX_WATCH = 3600.0  # seconds after which a watch without timeoutSeconds ends by itself; clients resume


class Rest:
    def __init__(self, api: Api, reviews: Reviews) -> None:
        self.api, self.reviews = api, reviews
        self.nodes = NodeProxy(api)
        self.endpoints = EndpointProxy(api)

    async def serve(self, exchange: Exchange, call: Call, route: Route) -> None:
        if call.resource.custom is not None and call.resource.custom.deprecation:
            exchange.warnings.append(call.resource.custom.deprecation)
        stored = self.api.stored_version(call.resource)
        if stored != call.resource:
            call.resource, call.view = stored, call.resource
        if call.resource.verbs == ("create",):
            check_plain(exchange.header(b"accept"))
            body, _ = decode(call.resource, await exchange.object(self.api.settings.max_body), call.field_validation)
            await exchange.answer_json(self.reviews.answer(call, body), 201)
        elif call.subresource == "scale":
            await self._scale(exchange, call)
        elif call.subresource in ("", "status", "finalize", "ephemeralcontainers"):
            await getattr(self, f"_{call.verb}")(exchange, call)
        elif call.verb == "create" and call.subresource in ("binding", "eviction", "token"):
            await self._create_subresource(exchange, call)
        elif call.subresource == "proxy" and call.resource.namespaced:
            await connect.admit_connection(self.api, exchange, call)
            await self.endpoints.serve(exchange, call)
        else:
            await connect.admit_connection(self.api, exchange, call)
            await self.nodes.serve(exchange, call, route)

    def _renderer(self, exchange: Exchange, call: Call) -> Renderer:
        return renderer_for(
            self.api, call.view or call.resource, exchange.header(b"accept"), exchange.query.get("includeObject")
        )

    async def _create_subresource(self, exchange: Exchange, call: Call) -> None:
        body = await exchange.object(self.api.settings.max_body)
        if not isinstance(body, dict):
            raise errors.BadRequest("the body of the request must be a JSON object")
        await exchange.answer_json(await subresources.create_subresource(self.api, call, body), 201)

    async def _scale(self, exchange: Exchange, call: Call) -> None:
        record = await conversion.current(self.api, call, read.get(self.api, call))
        scale = subresources.scale_of(call.resource, record.obj)
        if call.verb in ("update", "patch"):
            body = await exchange.object(self.api.settings.max_body)
            wanted = body if call.verb == "update" else patch.patched(_SCALE, scale, patch_type_of(exchange), body)
            if not isinstance(wanted, dict):
                raise errors.BadRequest("the body of the request must be a Scale object")
            scale = await subresources.update_scale(self.api, call, wanted)
        elif call.verb != "get":
            raise errors.MethodNotAllowed("a scale can be read, updated and patched")
        await exchange.answer_json(scale)

    async def _get(self, exchange: Exchange, call: Call) -> None:
        record = await read.fetch(self.api, call, exchange.query.get("resourceVersion", ""))
        (record,) = await self._shown(call, [record])
        renderer = self._renderer(exchange, call)
        await exchange.answer(renderer.one(record), 200, renderer.content_type)

    async def _shown(self, call: Call, records: Sequence[Record]) -> Sequence[Record]:
        """The records in the client's version, where a webhook has to be asked for it."""
        return await conversion.shown(self.api, records, call.view or call.resource)

    async def _list(self, exchange: Exchange, call: Call) -> None:
        page = await read.list_(self.api, call, list_options(exchange))
        page = dataclasses.replace(page, records=await self._shown(call, page.records))
        renderer = self._renderer(exchange, call)
        await exchange.answer(renderer.page(page), 200, renderer.content_type)

    async def _watch(self, exchange: Exchange, call: Call) -> None:
        query = exchange.query
        fields = query.get("fieldSelector", "")
        if call.name:
            fields = ",".join(filter(None, (fields, f"metadata.name={call.name}")))
        initial = query.get("sendInitialEvents")
        options = watch.WatchOptions(
            query.get("labelSelector", ""),
            fields,
            query.get("resourceVersion", ""),
            exchange.flag("allowWatchBookmarks"),
            None if initial is None else initial == "true",
            float(exchange.number("timeoutSeconds") or _MAX_WATCH),
        )
        if initial is not None and query.get("resourceVersionMatch") != "NotOlderThan":
            raise errors.Invalid(
                "sendInitialEvents: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            )

        async def opening(push: watch.Push) -> AsyncIterator[list[watch.Event]]:
            if not conversion.is_asked(shown_as):
                return await watch.open_watch(self.api, call, options, push)
            events = await watch.open_watch(self.api, call, options)  # pushing can't wait for a webhook
            return conversion.shown_events(self.api, events, shown_as)

        shown_as = call.view or call.resource
        await stream_events(exchange, opening, self._renderer(exchange, call))

    async def _object(self, exchange: Exchange, call: Call) -> Obj:
        """The body as an object of the call's kind, its fields checked as `fieldValidation` asks."""
        body = await exchange.object(self.api.settings.max_body)
        obj, warnings = decode(call.view or call.resource, body, call.field_validation, exchange.body_problems)
        call.warnings += warnings
        return await conversion.convert_one(self.api, obj, call.resource)

    async def _create(self, exchange: Exchange, call: Call) -> None:
        obj = await self._object(exchange, call)
        record = await create.create(self.api, call, obj)
        await self._answer_written(exchange, call, record, 201)

    async def _update(self, exchange: Exchange, call: Call) -> None:
        obj = await self._object(exchange, call)
        record = await update.update(self.api, call, obj)
        await self._answer_written(exchange, call, record, 200)

    async def _patch(self, exchange: Exchange, call: Call) -> None:
        patch_type = patch_type_of(exchange)
        applying = patch_type == "apply"
        check_manager(exchange.query.get("fieldManager", ""), applying=applying, force="force" in exchange.query)
        content = await exchange.object(self.api.settings.max_body)
        creating = applying and self.api.store.latest(call.resource.storage_key, call.key) is None
        record = await patch.patch(self.api, call, patch_type, content, exchange.body_problems)
        await self._answer_written(exchange, call, record, 201 if creating else 200)

    async def _answer_written(self, exchange: Exchange, call: Call, record: Record, status: int) -> None:
        (record,) = await self._shown(call, [record])
        renderer = self._renderer(exchange, call)
        await exchange.answer(renderer.one(record), status, renderer.content_type)

    async def _delete(self, exchange: Exchange, call: Call) -> None:
        body = await exchange.object(self.api.settings.max_body)
        call.dry_run = call.dry_run or bool(body.get("dryRun"))
        deletion = await delete.delete(self.api, call, delete.DeleteOptions.parse(body, exchange.query))
        if not deletion.removed:
            await self._answer_written(exchange, call, deletion.record, 200)
            return
        meta = deletion.record.obj["metadata"]
        details = {"name": meta["name"], "kind": call.resource.plural, "uid": meta["uid"]}
        if call.resource.group:
            details["group"] = call.resource.group
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        await exchange.answer_json(success)

    async def _deletecollection(self, exchange: Exchange, call: Call) -> None:
        body = await exchange.object(self.api.settings.max_body)
        call.dry_run = call.dry_run or bool(body.get("dryRun"))
        options = delete.DeleteOptions.parse(body, exchange.query)
        deleted = await delete.delete_collection(self.api, call, list_options(exchange), options)
        renderer = self._renderer(exchange, call)
        page = read.Page(await self._shown(call, deleted), self.api.store.revision)
        await exchange.answer(renderer.page(page), 200, renderer.content_type)


def patch_type_of(exchange: Exchange) -> PatchType:
    """Raises: UnsupportedMediaType."""
    patch_type = patch.CONTENT_TYPES.get(exchange.header(b"content-type").partition(";")[0].strip().lower())
    if patch_type is None:
        raise errors.UnsupportedMediaType(
            "the body of the request was in an unknown format - accepted media types include: "
            + ", ".join(list(patch.CONTENT_TYPES)[:4])
        )
    return patch_type


def list_options(exchange: Exchange) -> read.ListOptions:
    query = exchange.query
    limit = exchange.number("limit") or 0
    if limit < 0:
        raise errors.BadRequest("limit must not be negative")
    return read.ListOptions(
        query.get("labelSelector", ""),
        query.get("fieldSelector", ""),
        limit,
        query.get("continue", ""),
        query.get("resourceVersion", ""),
        query.get("resourceVersionMatch", ""),
    )
