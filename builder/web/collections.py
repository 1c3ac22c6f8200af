"""`POST /collect`, for the controller alone: removes what nobody needs, or tells what that would be."""

from __future__ import annotations

import json

from aiohttp import web

from builder.collect import Collector, parse_wish
from builder.errors import EngineError
from builder.web.callers import is_controller


class Collections:
    """The router passes nothing on to `/collect`, and without the builder's key it answers nobody."""

    def __init__(self, collector: Collector, key: str) -> None:
        self._collector, self._key = collector, key

    async def collect(self, request: web.Request) -> web.Response:
        if not is_controller(request, self._key):
            return web.json_response({"error": "Only the controller may collect."}, status=403)
        try:
            wish = parse_wish(json.loads(await request.read()))
        except ValueError as exc:
            return web.json_response({"error": str(exc)}, status=400)
        try:
            found = await self._collector.collect(wish)
        except EngineError as exc:
            return web.json_response({"error": str(exc)}, status=503)
        return web.json_response({"removed": [{"kind": o.kind, "name": o.name, "bytes": o.size} for o in found]})
