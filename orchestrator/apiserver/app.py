"""The ASGI application: who asks, may they, which verb; every refusal answered in one place."""

from __future__ import annotations

import logging
from typing import Any

from orchestrator import errors
from orchestrator.apiserver import routes
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.exchange import Disconnected, Exchange
from orchestrator.apiserver.pages import Pages
from orchestrator.apiserver.rest import Rest

log = logging.getLogger(__name__)

_FIELD_VALIDATION = {"": "Warn", "Ignore": "Ignore", "Warn": "Warn", "Strict": "Strict"}


class App:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.rest = Rest(api)
        self.pages = Pages(api)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        exchange = Exchange(scope, receive, send)
        try:
            await self._serve(exchange)
        except Disconnected:
            return
        except errors.ApiError as error:
            await _refuse(exchange, error)
        except Exception:
            log.exception("%s %s failed", exchange.method, exchange.path)
            await _refuse(exchange, errors.ApiError("Internal error occurred: see the server's log"))

    async def _serve(self, exchange: Exchange) -> None:
        route = routes.parse(self.api.kinds, exchange.method, exchange.path, watching=exchange.flag("watch"))
        if route is None:
            await self.pages.serve(exchange)
            return
        await self.rest.serve(exchange, self._call(exchange, route), route)

    def _call(self, exchange: Exchange, route: routes.Route) -> Call:
        query = exchange.query
        dry_run = query.get("dryRun", "")
        if dry_run not in ("", "All"):
            raise errors.Invalid(f'dryRun: Unsupported value: "{dry_run}": supported values: "All"')
        validation = query.get("fieldValidation", "")
        if validation not in _FIELD_VALIDATION:
            raise errors.Invalid(
                f'fieldValidation: Unsupported value: "{validation}": supported values: "Ignore", "Strict", "Warn"'
            )
        return Call(
            route.verb,
            route.resource,
            route.namespace,
            route.name,
            route.subresource,
            exchange.user,
            bool(dry_run),
            query.get("fieldManager") or _manager_from(exchange.header(b"user-agent")),
            _FIELD_VALIDATION[validation],  # type: ignore[arg-type]
            exchange.flag("force"),
        )


def _manager_from(user_agent: str) -> str:
    return user_agent.partition("/")[0][:128] or "unknown"


async def _refuse(exchange: Exchange, error: errors.ApiError) -> None:
    if exchange.started:
        log.warning("%s %s broke off: %s", exchange.method, exchange.path, error.message)
        await exchange.write(b"", more=False)
    else:
        await exchange.refuse(error)
