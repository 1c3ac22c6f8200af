"""The ASGI application: who asks, may they, which verb; every refusal answered in one place."""

from __future__ import annotations

import asyncio
import dataclasses
import http
import logging
import time
from typing import Any

import orjson

from orchestrator import errors
from orchestrator.apiserver import routes
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.authentication import Authenticator
from orchestrator.apiserver.authorization import Attributes, Authorizer
from orchestrator.apiserver.call import Call, FieldValidation
from orchestrator.apiserver.exchange import Disconnected, Exchange
from orchestrator.apiserver.impersonation import impersonated
from orchestrator.apiserver.metrics import Metrics
from orchestrator.apiserver.pages import Pages
from orchestrator.apiserver.rest import Rest
from orchestrator.apiserver.reviews import Reviews
from orchestrator.apiserver.tunnel import open_tunnel
from orchestrator.apiserver.webhooks.connect import admit_connection
from orchestrator.objects.selectors import parse_field_selector

log = logging.getLogger(__name__)

_FIELD_VALIDATION: dict[str, FieldValidation] = {"": "Warn", "Ignore": "Ignore", "Warn": "Warn", "Strict": "Strict"}
_STREAMED = ("exec", "attach", "portforward")


class App:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.metrics = Metrics()
        self.authenticator = Authenticator(api)
        self.authorizer = Authorizer(api)
        self.rest = Rest(api, Reviews(api, self.authenticator, self.authorizer))
        self.pages = Pages(api, self.metrics)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        exchange = Exchange(scope, receive, send)
        started = time.perf_counter()
        try:
            await self._serve(exchange)
        except Disconnected:
            return
        except errors.ApiError as error:
            await _refuse(exchange, error)
        except RecursionError:
            await _refuse(exchange, errors.BadRequest("the object is nested too deeply to be read"))
        except Exception:
            log.exception("%s %s failed", exchange.method, exchange.path)
            await _refuse(exchange, errors.ApiError("Internal error occurred: see the server's log"))
        finally:
            self.metrics.observe(
                exchange.verb or exchange.method, exchange.resource, exchange.status, time.perf_counter() - started
            )

    async def _serve(self, exchange: Exchange) -> None:
        self._authenticate(exchange)
        route = routes.parse(self.api.kinds, exchange.method, exchange.path, watching=exchange.flag("watch"))
        if route is None:
            self._authorize(Attributes(exchange.user, exchange.method.lower(), path=exchange.path))
            await self.pages.serve(exchange)
            return
        call = self._call(exchange, route)
        await self.rest.serve(exchange, call, route)

    def _authenticate(self, exchange: Exchange) -> None:
        exchange.user = self.authenticator.authenticate(exchange)
        exchange.user = impersonated(exchange, self._authorize)

    def _authorize(self, attributes: Attributes) -> None:
        """Raises: Forbidden; for anonymous requests too, as Kubernetes does."""
        allowed, _ = self.authorizer.allows(attributes)
        if allowed:
            return
        if attributes.path:
            raise errors.Forbidden(f"forbidden: {attributes.refusal()}")
        full = f"{attributes.resource}.{attributes.group}" if attributes.group else attributes.resource
        raise errors.Forbidden(
            f'{full} "{attributes.name}" is forbidden: {attributes.refusal()}'
            if attributes.name
            else f"{full} is forbidden: {attributes.refusal()}",
            name=attributes.name,
            group=attributes.group,
            kind=attributes.resource,
        )

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
        call = Call(
            route.verb,
            route.resource,
            route.namespace,
            route.name,
            route.subresource,
            exchange.user,
            bool(dry_run),
            query.get("fieldManager") or _manager_from(exchange.header(b"user-agent")),
            _FIELD_VALIDATION[validation],
            exchange.flag("force"),
            warnings=exchange.warnings,
        )
        exchange.verb = route.verb
        exchange.resource = route.resource.plural + (f"/{route.subresource}" if route.subresource else "")
        self._authorize(_attributes(exchange, call))
        return call

    async def upgrade(
        self, scope: dict[str, Any], headers: list[tuple[bytes, bytes]], client: asyncio.Transport
    ) -> asyncio.Transport | None:
        """Connect an upgraded connection with its node's agent; None, and an answer, when that is refused."""
        exchange = Exchange({**scope, "headers": headers}, None, None)
        try:
            self._authenticate(exchange)
            route = routes.parse(self.api.kinds, exchange.method, exchange.path, watching=False)
            if route is None or route.subresource not in (*_STREAMED, "log"):
                raise errors.BadRequest("only exec, attach, portforward and log can be upgraded to a stream")
            verb = route.verb if route.subresource == "log" else "create"
            call = self._call(exchange, dataclasses.replace(route, verb=verb))
            await admit_connection(self.api, exchange, call)
            target = self.rest.nodes.target(exchange, call, route)
            try:
                return await open_tunnel(target, self.api.node_tls, headers, client)
            except (OSError, TimeoutError) as exc:
                raise errors.ServiceUnavailable(f"the agent of node {target.name} cannot be reached: {exc}") from exc
        except errors.ApiError as error:
            client.write(_raw_answer(error))
        except Exception:
            log.exception("the upgrade of %s failed", exchange.path)
            client.write(_raw_answer(errors.ApiError("Internal error occurred: see the server's log")))
        client.close()
        return None


def _attributes(exchange: Exchange, call: Call) -> Attributes:
    """A list or watch of one name by field selector counts as a request for that name, one of the pods of a node as a
    request for those; what is wrong with a selector is told to those who may ask at all.
    """
    attributes = Attributes.of(call)
    selector = exchange.query.get("fieldSelector", "")
    if selector and call.verb in ("list", "watch", "deletecollection") and not call.name:
        try:
            exact = parse_field_selector(call.resource, selector).exact
        except errors.BadRequest:
            return attributes
        name, node = exact.get("metadata.name", ""), exact.get("spec.nodeName", "")
        return dataclasses.replace(attributes, name=name, node=node)
    return attributes


def _manager_from(user_agent: str) -> str:
    return user_agent.partition("/")[0][:128] or "unknown"


async def _refuse(exchange: Exchange, error: errors.ApiError) -> None:
    if exchange.started:
        log.warning("%s %s broke off: %s", exchange.method, exchange.path, error.message)
        await exchange.write(b"", more=False)
    else:
        await exchange.refuse(error)


def _raw_answer(error: errors.ApiError) -> bytes:
    """The refusal as HTTP, for a connection that has left the server's protocol."""
    body = orjson.dumps(error.status())
    try:
        phrase = http.HTTPStatus(error.code).phrase
    except ValueError:
        phrase = error.reason
    head = (
        f"HTTP/1.1 {error.code} {phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body
